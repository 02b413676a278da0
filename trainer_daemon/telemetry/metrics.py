"""Prometheus metrics: every log event counts, and an address to scrape them from. No metric says what no log line says.

An event is counted whether or not its line is written: `log.level` is about reading, alerts are not.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, start_http_server

from trainer_daemon.errors import PermanentError

WATCHED = {
    "drop_missed_by_notification": "warning",
    "drop_quarantined": "error",
    "run_failed": "error",
    "run_lost": "warning",
}
"""Events of a model that alerts are made of: they are there from the start, as 0, so that the first one is an increase."""
WATCHED_STREAM = {"stream_interrupted": "warning", "stream_refused": "error", "stream_restarted": "warning"}
"""The same for events of a subscription, which belong to no model."""


class Metrics:
    """What a process counts.

    Args:
        models: Names of the models.
    """

    def __init__(self, models: Sequence[str]) -> None:
        self.registry = CollectorRegistry()
        self._events = Counter(
            "trainer_log_events",
            "Log events by name, severity and model; the runbook has an entry for each that needs a person.",
            ["event", "severity", "model"],
            registry=self.registry,
        )
        for event, severity in WATCHED.items():
            for model in models:
                self._events.labels(event=event, severity=severity, model=model)
        for event, severity in WATCHED_STREAM.items():
            self._events.labels(event=event, severity=severity, model="")

    def count(self, event: str, severity: str, model: str) -> None:
        """Count an event.

        Args:
            event: Its constant name.
            severity: `info`, `warning`, `error` or `critical`.
            model: Name of the model it is about, or ''.
        """
        self._events.labels(event=event, severity=severity, model=model).inc()

    @contextmanager
    def served(self, listen: str) -> Iterator[None]:
        """Answer `GET /metrics` meanwhile.

        Args:
            listen: `<address>:<port>`, or '' for not at all.

        Raises:
            PermanentError: The address cannot be used.
        """
        if not listen:
            yield
            return
        address, _, port = listen.rpartition(":")
        try:
            server, thread = start_http_server(int(port), address.strip("[]"), registry=self.registry)
        except OSError as exc:
            msg = f'http.listen is "{listen}", which cannot be used: {exc.strerror}; choose another address or end who uses it'
            raise PermanentError(msg) from exc
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
