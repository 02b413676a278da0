"""Prometheus metrics of this process: log events, calls of services, looks at buckets, streams.

An event is counted whether or not its line is written: `log.level` is about reading, alerts are not.
"""

import platform
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from trainer_daemon.policy.redelivery import Reception

WATCHED = {
    "drop_missed_by_notification": "warning",
    "drop_quarantined": "error",
    "run_failed": "error",
    "run_lost": "warning",
}
"""Events of a model that alerts are made of: they are there from the start, as 0, so that the first one is an increase."""
WATCHED_STREAM = {"stream_interrupted": "warning", "stream_refused": "error", "stream_restarted": "warning"}
"""The same for events of a subscription, which belong to no model."""
MISSED = "drop_missed_by_notification"
CALL_S = (0.005, 0.02, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
"""Bounds of the buckets of calls, in seconds: from a look at a file to a server that is about to be given up."""


class Metrics:
    """What a process counts.

    Args:
        models: Names of the models.
        clock: Seconds since 1970.
    """

    def __init__(self, models: Sequence[str], clock: Callable[[], float] = time.time) -> None:
        self.registry = CollectorRegistry()
        self._clock = clock
        ProcessCollector(registry=self.registry)
        self._events = Counter(
            "trainer_log_events",
            "Log events by name, severity and model; the runbook has an entry for each that needs a person.",
            ["event", "severity", "model"],
            registry=self.registry,
        )
        self._missed = Counter(
            "trainer_notifications_missed",
            "Drops that a listing found and that no notification had told of in time.",
            ["model"],
            registry=self.registry,
        )
        self._looks = Gauge(
            "trainer_last_successful_look_timestamp_seconds",
            "When the bucket of a model was last listed completely, in seconds since 1970; 0 before this process did.",
            ["model"],
            registry=self.registry,
        )
        self._streams = Gauge(
            "trainer_stream_alive",
            "Whether messages of a subscription are being delivered: 1 or 0.",
            ["subscription"],
            registry=self.registry,
        )
        self._leases = Gauge(
            "trainer_lease_held",
            "Whether this process may act for a model: 1 or 0; of several daemons on one ledger, at most one does.",
            ["model"],
            registry=self.registry,
        )
        self._deliveries = Counter(
            "trainer_outbox_deliveries",
            "Attempts to deliver a notification: delivered, failed and tried again, or refused for good.",
            ["endpoint", "outcome"],
            registry=self.registry,
        )
        self._add_calls()
        self._add_build()
        self._expect(models)

    def _add_calls(self) -> None:
        self._calls = Histogram(
            "trainer_call_duration_seconds",
            "How long calls of the orchestrator and of MLflow took, failed ones included.",
            ["service", "call"],
            buckets=CALL_S,
            registry=self.registry,
        )
        self._call_errors = Counter(
            "trainer_call_errors",
            "Calls that failed: temporary ones are repeated, permanent ones were refused.",
            ["service", "call", "kind"],
            registry=self.registry,
        )

    def _add_build(self) -> None:
        built = Gauge("trainer_build_info", "What runs; always 1.", ["version", "python"], registry=self.registry)
        built.labels(version=version("trainer-daemon"), python=platform.python_version()).set(1)

    def _expect(self, models: Sequence[str]) -> None:
        """A counter that appears with its first event has not increased, as Prometheus sees it: have them all there as 0."""
        for model in models:
            self._missed.labels(model=model)
            self._looks.labels(model=model)
            self._leases.labels(model=model)
            for event, severity in WATCHED.items():
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
        if event == MISSED:
            self._missed.labels(model=model).inc()

    def called(self, service: str, call: str, seconds: float, *, error: str = "") -> None:
        """A call of a service has ended.

        Args:
            service: `orchestrator` or `mlflow`.
            call: What was called.
            seconds: How long it took.
            error: `temporary`, `permanent`, or '' when it went well.
        """
        self._calls.labels(service=service, call=call).observe(seconds)
        if error:
            self._call_errors.labels(service=service, call=call, kind=error).inc()

    def listed(self, model: str) -> None:
        """The bucket of a model was listed completely just now."""
        self._looks.labels(model=model).set(self._clock())

    def stream(self, subscription: str, alive: bool) -> None:  # noqa: FBT001 - the gauge's value
        """Whether the stream of a subscription is alive."""
        self._streams.labels(subscription=subscription).set(alive)

    def lease(self, model: str, held: bool) -> None:  # noqa: FBT001 - the gauge's value
        """Whether the lease of a model is held."""
        self._leases.labels(model=model).set(held)

    def expect_endpoints(self, endpoints: Sequence[str]) -> None:
        """Have their counters there as 0."""
        for endpoint in endpoints:
            for outcome in Reception:
                self._deliveries.labels(endpoint=endpoint, outcome=outcome)

    def delivered(self, endpoint: str, outcome: Reception) -> None:
        """A notification was sent to an endpoint, or was to be."""
        self._deliveries.labels(endpoint=endpoint, outcome=outcome).inc()
