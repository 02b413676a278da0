"""`run`: the daemon itself."""

import sys
from pathlib import Path

from trainer_daemon.bootstrap import build
from trainer_daemon.commands.opening import open_session
from trainer_daemon.daemon import stop_signals
from trainer_daemon.telemetry.logging import configure_logging
from trainer_daemon.telemetry.metrics import Metrics


def run(*, config: Path, until_idle: bool) -> bool:
    """Work until a signal comes, or until nothing is left to do.

    Returns:
        Whether no run has failed for good meanwhile.

    Raises:
        ConfigError: The configuration is wrong.
        TrainerError: The daemon could not start.
    """
    settings = open_session(config).settings
    metrics = Metrics([model.name for model in settings.models])
    log = configure_logging(level=settings.log.level, format=settings.log.format, stream=sys.stdout, count=metrics.count)
    log = log.bind(environment=settings.environment)
    with stop_signals() as stopped, metrics.served(settings.http.listen):
        return build(settings, log).run(stopped, until_idle=until_idle)
