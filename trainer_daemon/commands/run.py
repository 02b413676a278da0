"""`run`: the daemon itself."""

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from trainer_daemon.bootstrap import build, clock
from trainer_daemon.commands.opening import open_session
from trainer_daemon.daemon import stop_signals
from trainer_daemon.telemetry.logging import configure_logging
from trainer_daemon.telemetry.metrics import Metrics
from trainer_daemon.telemetry.vitals import Vitals
from trainer_daemon.web.server import served

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from trainer_daemon.web.pages import Pages

IN_CLUSTER = ("kubectl", "-n", "kubeflow", "exec", "deployment/trainer-daemon", "--")
"""What stands before a command that is copied from the status page of a daemon in a cluster."""


def run(*, config: Path, until_idle: bool) -> bool:
    """Work until a signal comes, or until nothing is left to do.

    Returns:
        Whether no run has failed for good meanwhile.

    Raises:
        ConfigError: The configuration is wrong.
        TrainerError: The daemon could not start.
    """
    session = replace(open_session(config), daemon_pid=os.getpid(), before=IN_CLUSTER if _is_in_cluster(os.environ) else ())
    settings = session.settings
    metrics, vitals = Metrics([model.name for model in settings.models]), Vitals()
    log = configure_logging(level=settings.log.level, format=settings.log.format, stream=sys.stdout, count=metrics.count)
    log = log.bind(environment=settings.environment)

    def make_app() -> "Starlette":
        from trainer_daemon.web.app import make_app
        from trainer_daemon.web.browsing import page_routes

        return make_app(vitals, metrics.registry, page_routes(make_pages))

    def make_pages() -> "Pages":
        from trainer_daemon.web.pages import Pages

        return Pages(session, vitals, clock)

    with stop_signals() as stopped, served(settings.http.listen, make_app):
        return build(settings, log, metrics=metrics, vitals=vitals).run(stopped, until_idle=until_idle)


def _is_in_cluster(environ: Mapping[str, str]) -> bool:
    """Kubernetes tells every container where its API is."""
    return "KUBERNETES_SERVICE_HOST" in environ
