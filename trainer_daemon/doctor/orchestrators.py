"""Which checks belong to which kind of orchestrator, and how it is opened: the one place to extend for another kind."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import assert_never

from trainer_daemon.adapters.compiled import compiled_path
from trainer_daemon.config import Settings
from trainer_daemon.ports import Orchestrator
from trainer_daemon.probing import Probe


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """An orchestrator as the doctor sees it.

    Attributes:
        probes: Its own checks.
        connect: Opens it, to run something there.
    """

    probes: tuple[Probe, ...]
    connect: Callable[[], Orchestrator]


def backend_of(settings: Settings) -> Backend:
    """The configured orchestrator."""
    match settings.orchestrator.kind:
        case "local":
            return _local(settings)
        case kind:
            assert_never(kind)


def _local(settings: Settings) -> Backend:
    from trainer_daemon.adapters.local.doctor import local_probes

    def connect() -> Orchestrator:
        from trainer_daemon.adapters.local.orchestrator import LocalOrchestrator

        compiled = partial(compiled_path, settings.workspace / "pipelines")
        return LocalOrchestrator(workspace=settings.workspace, compiled=compiled)

    return Backend(probes=local_probes(), connect=connect)
