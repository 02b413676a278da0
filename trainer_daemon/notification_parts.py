"""From settings to what writes notices into the ledger and what delivers them."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from structlog.typing import FilteringBoundLogger

from trainer_daemon.adapters.ledger import Ledger, Notices
from trainer_daemon.config import Settings
from trainer_daemon.courier import KEEP, Courier
from trainer_daemon.endpoint import Endpoint
from trainer_daemon.telemetry.metrics import Metrics
from trainer_daemon.telemetry.vitals import Vitals


def notices_of(settings: Settings) -> Notices:
    """Writes what the configured endpoints want to be told of; for every process that writes the ledger."""
    orchestrator = settings.orchestrator
    return Notices(
        [endpoint.addressee for endpoint in settings.notifications], lambda run: orchestrator.run_link(run.orchestrator_run)
    )


def couriers(
    settings: Settings,
    ledger: Ledger,
    *,
    metrics: Metrics,
    vitals: Vitals,
    clock: Callable[[], datetime],
    log: FilteringBoundLogger,
) -> Sequence[Courier]:
    """One for each endpoint; they look as soon as something was written for them.

    Args:
        settings: Which endpoints.
        ledger: Has the outbox.
        metrics: Where deliveries are counted.
        vitals: Told whether they make progress.
        clock: Now, in UTC.
        log: The daemon's.
    """
    names = [endpoint.name for endpoint in settings.notifications]
    if not names:
        ledger.outbox().prune(clock() - KEEP, [])  # what former endpoints left; with any, their couriers do so
    made = [
        Courier(
            Endpoint(endpoint, settings.environment),
            ledger.outbox(),
            names,
            clock=clock,
            log=log,
            on_reception=partial(metrics.delivered, endpoint.name),
            pulse=vitals.pulse(f"notify {endpoint.name}"),
        )
        for endpoint in settings.notifications
    ]
    metrics.expect_endpoints(names)

    def wake() -> None:
        for courier in made:
            courier.loop.wake()

    ledger.notices.on_written = wake
    return made
