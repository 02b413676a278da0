"""What waits to be delivered, read from the ledger at every scrape, so that a restart neither resets it nor lets an alert go."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Protocol

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from trainer_daemon.adapters.ledger import Waiting
from trainer_daemon.errors import PermanentError, TemporaryError


class WaitingReader(Protocol):
    """Where the numbers come from."""

    def waiting(self, endpoints: Sequence[str]) -> Sequence[Waiting]:
        """One per endpoint; raises TemporaryError or PermanentError."""


class OutboxMetrics(Collector):
    """Reads the outbox when it is scraped; that the ledger could not be read is a metric of its own already.

    Args:
        reader: Of the outbox.
        endpoints: Those that are configured.
        clock: Now, in UTC.
    """

    def __init__(self, reader: WaitingReader, endpoints: Sequence[str], clock: Callable[[], datetime]) -> None:
        self._reader = reader
        self._endpoints = endpoints
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Both families, with a sample per endpoint."""
        number = GaugeMetricFamily("trainer_outbox_waiting", "Notifications that wait to be delivered.", labels=["endpoint"])
        age = GaugeMetricFamily(
            "trainer_outbox_age_seconds", "How long ago the oldest of these happened; 0 when none waits.", labels=["endpoint"]
        )
        found: Sequence[Waiting] = ()
        with suppress(TemporaryError, PermanentError):
            found = self._reader.waiting(self._endpoints)
        now = self._clock()
        for waiting in found:
            number.add_metric([waiting.endpoint], waiting.number)
            seconds = (now - waiting.since).total_seconds() if waiting.since is not None else 0.0
            age.add_metric([waiting.endpoint], max(0.0, seconds))
        yield from (number, age)
