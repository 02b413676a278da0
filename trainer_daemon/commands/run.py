"""`run`: the daemon itself."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from trainer_daemon.bootstrap import build
from trainer_daemon.commands.opening import open_session
from trainer_daemon.daemon import stop_signals
from trainer_daemon.telemetry.logging import configure_logging
from trainer_daemon.telemetry.metrics import Metrics
from trainer_daemon.telemetry.vitals import Vitals
from trainer_daemon.web.server import served

if TYPE_CHECKING:
    from starlette.applications import Starlette


def run(*, config: Path, until_idle: bool) -> bool:
    """Work until a signal comes, or until nothing is left to do.

    Returns:
        Whether no run has failed for good meanwhile.

    Raises:
        ConfigError: The configuration is wrong.
        TrainerError: The daemon could not start.
    """
    settings = open_session(config).settings
    metrics, vitals = Metrics([model.name for model in settings.models]), Vitals()
    log = configure_logging(level=settings.log.level, format=settings.log.format, stream=sys.stdout, count=metrics.count)
    log = log.bind(environment=settings.environment)

    def make_app() -> "Starlette":
        from trainer_daemon.web.app import make_app

        return make_app(vitals, metrics.registry)

    with stop_signals() as stopped, served(settings.http.listen, make_app):
        return build(settings, log, metrics=metrics, vitals=vitals).run(stopped, until_idle=until_idle)
