"""From settings to the list of everything that is checked, in its order; makes no client before its check begins."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from trainer_daemon.adapters.registry.doctor import Past, registry_probes
from trainer_daemon.config import ModelSettings, Settings
from trainer_daemon.doctor.champions import alias_past
from trainer_daemon.doctor.clocks import clock_probes
from trainer_daemon.doctor.endpoints import endpoint_probes
from trainer_daemon.doctor.folder import folder_probes
from trainer_daemon.doctor.hello import Hello
from trainer_daemon.doctor.ledger import ledger_probe
from trainer_daemon.doctor.machine import emulator_probes, pipelines_probe, workspace_probe
from trainer_daemon.doctor.orchestrators import Backend, backend_of
from trainer_daemon.policy.checks import ok
from trainer_daemon.probing import Probe

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be examined.

    Attributes:
        models: Names of those that are.
        hello_s: How long the pipeline `hello` may take; None when it is not to be run.
        notify: Whether a test is sent to every endpoint that is notified.
    """

    config: Path
    settings: Settings
    models: tuple[str, ...]
    hello_s: float | None = None
    notify: bool = False


def probes_of(wanted: Wanted, resources: ExitStack, clock: Clock) -> tuple[Probe, ...]:
    """All checks, each after those that it needs.

    Args:
        wanted: What is to be examined.
        resources: Closes the clients that the checks open.
        clock: Now, in UTC.
    """
    settings = wanted.settings
    workspace, pipelines, backend = workspace_probe(settings), pipelines_probe(settings), backend_of(settings, resources, clock)
    past = Past(aliases=partial(alias_past, settings.ledger), clock=clock)
    return (
        _config_probe(wanted),
        *emulator_probes(settings),
        ledger_probe(settings, clock),
        workspace,
        *_buckets(wanted, resources),
        *registry_probes(settings.mlflow, wanted.models, past, resources),
        pipelines,
        *backend.probes,
        *(hello.probe(workspace, pipelines, *backend.probes) for hello in _hello(wanted, backend, resources, clock)),
        *endpoint_probes(settings, notify=wanted.notify, clock=clock),
        *clock_probes(settings, clock),
    )


def _config_probe(wanted: Wanted) -> Probe:
    """It was read before anything else: with a wrong one nothing is checked."""
    names = ", ".join(model.name for model in wanted.settings.models)
    return Probe(name="config", look=lambda: ok(f"{wanted.config} is valid; models: {names}"))


def _buckets(wanted: Wanted, resources: ExitStack) -> Iterator[Probe]:
    for model in wanted.settings.models:
        if model.name in wanted.models:
            yield from _google(model, resources) if model.on_google else folder_probes(model)


def _google(model: ModelSettings, resources: ExitStack) -> tuple[Probe, ...]:
    from trainer_daemon.doctor.google import GoogleChecks

    return GoogleChecks(model, resources).probes()


def _hello(wanted: Wanted, backend: Backend, resources: ExitStack, clock: Clock) -> Iterator[Hello]:
    if wanted.hello_s is not None:
        hello = Hello(backend.connect, name=f"doctor-hello-{clock():%Y%m%d-%H%M%S-%f}", timeout_s=wanted.hello_s)
        resources.callback(hello.close)
        yield hello
