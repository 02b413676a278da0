"""Which checks belong to which kind of orchestrator, and how it is opened: the one place to extend for another kind."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import assert_never

from pipelines.digest import pipeline_digest
from trainer_daemon.adapters.compiled import compiled_path
from trainer_daemon.config import Settings
from trainer_daemon.ports import Orchestrator
from trainer_daemon.probing import Probe

_CALL_S_MAX = 15.0
"""So that a check ends while somebody waits for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """An orchestrator as the doctor sees it.

    Attributes:
        probes: Its own checks.
        connect: Opens it, to run something there.
    """

    probes: tuple[Probe, ...]
    connect: Callable[[], Orchestrator]


def backend_of(settings: Settings, resources: ExitStack, clock: Callable[[], datetime]) -> Backend:
    """The configured orchestrator.

    Args:
        settings: All of them.
        resources: Closes the clients that its checks open.
        clock: Now, in UTC.
    """
    match settings.orchestrator.kind:
        case "local":
            return _local(settings)
        case "kubeflow":
            return _kubeflow(settings, resources, clock)
        case "vertex":
            return _vertex(settings, resources, clock)
        case kind:
            assert_never(kind)


def _local(settings: Settings) -> Backend:
    from trainer_daemon.adapters.local.doctor import local_probes

    def connect() -> Orchestrator:
        from trainer_daemon.adapters.local.orchestrator import LocalOrchestrator

        compiled = partial(compiled_path, settings.workspace / "pipelines")
        return LocalOrchestrator(workspace=settings.workspace, compiled=compiled)

    return Backend(probes=local_probes(), connect=connect)


def _kubeflow(settings: Settings, resources: ExitStack, clock: Callable[[], datetime]) -> Backend:
    from trainer_daemon.adapters.kubeflow import KubeflowApi
    from trainer_daemon.adapters.kubeflow.doctor import kubeflow_probes
    from trainer_daemon.orchestrator_parts import kubeflow_connection
    from trainer_daemon.remote.pipelines import titles
    from trainer_daemon.telemetry.logging import quiet_log

    wanted = settings.orchestrator
    connection = kubeflow_connection(wanted)
    api = KubeflowApi(replace(connection, timeout_s=min(connection.timeout_s, _CALL_S_MAX)), log=quiet_log())
    resources.callback(api.close)

    trained = frozenset(title for model in settings.models for title in titles(model.training.pipeline))
    return Backend(probes=kubeflow_probes(api, wanted, trained), connect=partial(_connect, settings, clock))


def _vertex(settings: Settings, resources: ExitStack, clock: Callable[[], datetime]) -> Backend:
    from trainer_daemon.adapters.vertex.doctor import vertex_probes
    from trainer_daemon.orchestrator_parts import vertex_api
    from trainer_daemon.remote.doctor import reach_probe
    from trainer_daemon.telemetry.logging import quiet_log

    api = vertex_api(settings.orchestrator, quiet_log(), timeout_s=_CALL_S_MAX)
    resources.callback(api.close)
    folders = [model.bucket for model in settings.models if not model.on_google]
    probes = (*vertex_probes(api, settings.orchestrator), reach_probe(settings.mlflow.tracking_uri, folders))
    return Backend(probes=probes, connect=partial(_connect, settings, clock))


def _connect(settings: Settings, clock: Callable[[], datetime]) -> Orchestrator:
    """As the daemon opens it; nobody reads its log."""
    from trainer_daemon.orchestrator_parts import Surroundings, open_orchestrator
    from trainer_daemon.telemetry.logging import quiet_log

    around = Surroundings(
        workspace=settings.workspace,
        compiled=partial(compiled_path, settings.workspace / "pipelines"),
        code_digest=pipeline_digest(),
        on_end=lambda _: None,
        clock=clock,
        log=quiet_log(),
    )
    return open_orchestrator(settings.orchestrator, around)[0]
