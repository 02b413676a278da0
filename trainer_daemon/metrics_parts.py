"""The metrics that are read when somebody scrapes them: those of the ledger, and the vitals."""

from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import datetime

from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.adapters.ledger.statistics import Statistics
from trainer_daemon.config import Settings
from trainer_daemon.telemetry.ledger_metrics import DURATION_S, LedgerMetrics
from trainer_daemon.telemetry.metrics import Metrics
from trainer_daemon.telemetry.outbox_metrics import OutboxMetrics
from trainer_daemon.telemetry.vitals import Vitals
from trainer_daemon.telemetry.vitals_metrics import VitalsMetrics


def expose(
    settings: Settings, ledger: Ledger, *, metrics: Metrics, vitals: Vitals, resources: ExitStack, clock: Callable[[], datetime]
) -> None:
    """Add them to what can be scraped; the ledger exists by now.

    Args:
        settings: Which ledger, which models and which endpoints.
        ledger: Has the outbox.
        metrics: Where they are added.
        vitals: What is shown.
        resources: Closes the connections.
        clock: Now, in UTC.
    """
    models = [model.name for model in settings.models]
    statistics = resources.enter_context(closing(Statistics(settings.ledger, models, DURATION_S)))
    endpoints = [endpoint.name for endpoint in settings.notifications]
    outbox = OutboxMetrics(ledger.outbox(), endpoints, clock)
    for collector in (LedgerMetrics(statistics, clock), VitalsMetrics(vitals), outbox):
        metrics.registry.register(collector)
