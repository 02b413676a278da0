"""How the services that a configuration names are asked whether they are there, while the daemon itself makes no call of them."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from urllib.parse import urlsplit

from trainer_daemon.adapters.http_answer import require_answer
from trainer_daemon.config import Settings
from trainer_daemon.config_orchestrator import OrchestratorSettings
from trainer_daemon.orchestrator_parts import kubeflow_connection
from trainer_daemon.prober import Question
from trainer_daemon.telemetry.logging import quiet_log
from trainer_daemon.telemetry.vitals import Part

TIMEOUT_S = 5.0


def questions(settings: Settings, *, orchestrator: Part, mlflow: Part) -> list[Question]:
    """One for each of the two parts that is elsewhere; what is on this machine is there until a call of it fails."""
    asked = {orchestrator: _orchestrator(settings.orchestrator), mlflow: _mlflow(settings.mlflow.tracking_uri)}
    for part, ask in asked.items():
        if ask is None:
            part.answered()
    return [Question(part=part, ask=ask) for part, ask in asked.items() if ask is not None]


def _mlflow(tracking_uri: str) -> Callable[[], None] | None:
    """By the path that MLflow's server has for it; starting the worker process for that would cost a second of CPU each time."""
    parts = urlsplit(tracking_uri)
    if parts.scheme not in {"http", "https"}:
        return None
    host = parts.netloc.rpartition("@")[2]  # who we are does not matter here
    return partial(require_answer, f"{parts.scheme}://{host}{parts.path.rstrip('/')}/health", timeout_s=TIMEOUT_S)


def _orchestrator(settings: OrchestratorSettings) -> Callable[[], None] | None:
    """By a connection of its own: that of the loops may be waiting for an answer."""
    if settings.kind == "local":
        return None
    if settings.kind == "vertex":  # that it answers is enough; who we are is asked by every call of a run
        return partial(require_answer, settings.api_host, timeout_s=TIMEOUT_S)
    from trainer_daemon.adapters.kubeflow import KubeflowApi

    connection = replace(kubeflow_connection(settings), timeout_s=min(TIMEOUT_S, settings.request_timeout_s))
    api = KubeflowApi(connection, log=quiet_log())

    def ask() -> None:
        api.is_multi_user()

    return ask
