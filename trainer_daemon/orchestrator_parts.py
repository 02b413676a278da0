"""From the section `[orchestrator]` to the orchestrator it describes; the library of a kind is only imported for that kind."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from structlog.typing import FilteringBoundLogger

from trainer_daemon.adapters.local.orchestrator import LocalOrchestrator
from trainer_daemon.config_orchestrator import SERVICE_ACCOUNT_TOKEN, OrchestratorSettings
from trainer_daemon.ports import Orchestrator
from trainer_daemon.remote.orchestrator import Habits
from trainer_daemon.remote.watch import LOOK_S_MAX
from trainer_daemon.room import RoomMindingOrchestrator

if TYPE_CHECKING:
    from trainer_daemon.adapters.kubeflow import Connection, Credentials, Login
    from trainer_daemon.adapters.vertex import VertexApi
    from trainer_daemon.remote.pipelines import Pipelines


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What every kind of orchestrator is given.

    Attributes:
        workspace: Folder of runs and their logs.
        compiled: Maps a pipeline's name to the path of the compiled one.
        code_digest: Identifies the code of the steps.
        on_end: Called with a run's name when there is a reason to look at it.
        spare_memory: Called before a run begins on this machine.
        clock: Now, in UTC.
    """

    workspace: Path
    compiled: Callable[[str], Path]
    code_digest: str
    on_end: Callable[[str], None]
    clock: Callable[[], datetime]
    log: FilteringBoundLogger
    spare_memory: Callable[[], None] = lambda: None


def open_orchestrator(settings: OrchestratorSettings, around: Surroundings) -> tuple[Orchestrator, Callable[[], None]]:
    """The orchestrator, and what to call when a run will probably be submitted soon; nothing is connected to yet."""
    match settings.kind:
        case "local":
            local = LocalOrchestrator(workspace=around.workspace, compiled=around.compiled, on_end=around.on_end)
            minding = RoomMindingOrchestrator(orchestrator=local, workspace=around.workspace, spare_memory=around.spare_memory)
            return minding, local.warm
        case "kubeflow":
            return _kubeflow(settings, around), lambda: None
        case "vertex":
            return _vertex(settings, around), lambda: None
        case _:
            assert_never(settings.kind)


def _kubeflow(settings: OrchestratorSettings, around: Surroundings) -> Orchestrator:
    from trainer_daemon.adapters import kubeflow

    api = kubeflow.KubeflowApi(kubeflow_connection(settings), log=around.log)
    library = kubeflow.Library(api, _pipelines(settings, around), log=around.log)
    placement = kubeflow.Placement(
        experiment=settings.experiment,
        pipeline_root=settings.pipeline_root,
        service_account=settings.service_account,
        archive=settings.archive_superseded,
    )
    return kubeflow.KubeflowOrchestrator(
        api,
        library,
        placement,
        habits=_habits(settings),
        on_change=around.on_end,
        clock=around.clock,
        log=around.log,
    )


def _vertex(settings: OrchestratorSettings, around: Surroundings) -> Orchestrator:
    from trainer_daemon.adapters import vertex

    workload = vertex.Workload(
        pipeline_root=settings.pipeline_root,
        service_account=settings.service_account,
        network=settings.network,
        labels=settings.labels,
    )
    return vertex.VertexOrchestrator(
        vertex_api(settings, around.log),
        _pipelines(settings, around),
        workload,
        habits=_habits(settings),
        on_change=around.on_end,
        clock=around.clock,
        log=around.log,
    )


def vertex_api(settings: OrchestratorSettings, log: FilteringBoundLogger, *, timeout_s: float = inf) -> "VertexApi":
    """The configured location of Vertex AI.

    Args:
        settings: Which it is.
        log: Told when the credential is refused.
        timeout_s: For one call, if that is less than what is configured.

    Raises:
        ConfigError: Its client is not installed, or there are no credentials.
    """
    from trainer_daemon.adapters import vertex

    vertex.require_client()
    connection = vertex.Connection(
        project=settings.project,
        location=settings.location,
        host=settings.api_host,
        timeout_s=min(settings.request_timeout_s, timeout_s),
    )
    return vertex.VertexApi(connection, vertex.default_credentials(settings.api_host), log=log)


def _pipelines(settings: OrchestratorSettings, around: Surroundings) -> "Pipelines":
    from trainer_daemon.remote.pipelines import Pipelines
    from trainer_daemon.remote.spec import Adjustments

    adjustments = Adjustments(
        image=settings.image, caching=settings.caching, cpu=settings.cpu, memory=settings.memory, retries=settings.retries
    )
    return Pipelines(compiled=around.compiled, adjustments=adjustments, code_digest=around.code_digest, log=around.log)


def _habits(settings: OrchestratorSettings) -> Habits:
    look_s = (settings.look_interval_s, LOOK_S_MAX)
    return Habits(run_timeout_s=settings.run_timeout_s, link=settings.run_link, look_s=look_s)


def kubeflow_connection(settings: OrchestratorSettings) -> "Connection":
    """How the API of Kubeflow Pipelines is reached."""
    from trainer_daemon.adapters.kubeflow import Connection, CookiesFile

    return Connection(
        host=settings.api_host,
        credentials=_credentials(settings),
        user_namespace=settings.user_namespace,
        ca_file=Path(settings.ca_file) if settings.ca_file else None,
        timeout_s=settings.request_timeout_s,
        cookies=CookiesFile(Path(settings.cookies_file)) if settings.cookies_file else str,
    )


def _credentials(settings: OrchestratorSettings) -> "Credentials":
    from trainer_daemon.adapters import kubeflow

    match settings.auth:
        case "none":
            return kubeflow.NoCredentials()
        case "service_account_token":
            return kubeflow.TokenFile(Path(settings.token_file or SERVICE_ACCOUNT_TOKEN))
        case "token" if settings.token_file:
            return kubeflow.TokenFile(Path(settings.token_file))
        case "token":
            return kubeflow.FixedToken(os.environ[settings.token_variable])
        case "dex":
            return kubeflow.DexSession(_login(settings))
        case "iap":
            return kubeflow.IapToken(settings.client_id, timeout_s=settings.request_timeout_s)
        case _:
            assert_never(settings.auth)


def _login(settings: OrchestratorSettings) -> "Login":
    from trainer_daemon.adapters.kubeflow import Login

    return Login(
        host=settings.host,
        username=settings.username,
        password_file=Path(settings.password_file),
        ca_file=Path(settings.ca_file) if settings.ca_file else None,
        timeout_s=settings.request_timeout_s,
    )
