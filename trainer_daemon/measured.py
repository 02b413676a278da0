"""The roles of `ports`, each around the adapter that plays it: how calls go is told to metrics and vitals, nothing is changed."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from trainer_daemon.errors import PermanentError, TemporaryError
from trainer_daemon.policy.observations import Champion, Observation, Outcome
from trainer_daemon.ports import Bucket, Delivery, Known, Listed, Orchestrator, Registry, RunRequest, Submission, Subscription
from trainer_daemon.telemetry.metrics import Metrics
from trainer_daemon.telemetry.redaction import redacted
from trainer_daemon.telemetry.vitals import Part, Pulse


class Meter:
    """Times the calls of one service for one loop; every call is progress of that loop.

    Args:
        service: `orchestrator` or `mlflow`.
        part: Is told how calls go.
        pulse: Of the loop that calls.
        metrics: Where latency and errors are counted.
    """

    def __init__(self, service: str, *, part: Part, pulse: Pulse, metrics: Metrics) -> None:
        self._service = service
        self._part = part
        self._pulse = pulse
        self._metrics = metrics

    @contextmanager
    def call(self, name: str) -> Iterator[None]:
        """Within it, a call of this name is made."""
        self._pulse.beat()
        began = time.monotonic()
        error = ""
        try:
            yield
        except TemporaryError as exc:
            error = "temporary"
            self._part.failed(redacted(str(exc)))
            raise
        except PermanentError:
            error = "permanent"
            self._part.answered()
            raise
        else:
            self._part.answered()
        finally:
            self._metrics.called(self._service, name, time.monotonic() - began, error=error)


class MeasuredOrchestrator:
    """An `Orchestrator`.

    Args:
        orchestrator: The adapter.
        meter: Times its calls.
        on_observed: Called with everything that is seen of a run.
    """

    def __init__(
        self, orchestrator: Orchestrator, meter: Meter, on_observed: Callable[[Observation], None] = lambda _: None
    ) -> None:
        self._orchestrator = orchestrator
        self._meter = meter
        self._on_observed = on_observed

    def submit(self, request: RunRequest) -> Submission:
        """Start the run unless there is one of this name."""
        with self._meter.call("submit"):
            return self._orchestrator.submit(request)

    def observe(self, names: Sequence[str]) -> Mapping[str, Observation]:
        """The state of each named run."""
        with self._meter.call("observe"):
            seen = self._orchestrator.observe(names)
        for observation in seen.values():
            self._on_observed(observation)
        return seen

    def pause_s(self, looks: int) -> float:
        """How long to wait until an open run is looked at again."""
        return self._orchestrator.pause_s(looks)

    def cancel(self, name: str) -> None:
        """End the run."""
        with self._meter.call("cancel"):
            self._orchestrator.cancel(name)

    def archive(self, name: str) -> None:
        """Put a run out of sight."""
        with self._meter.call("archive"):
            self._orchestrator.archive(name)

    def close(self) -> None:
        """Release what the adapter holds."""
        self._orchestrator.close()


class MeasuredRegistry:
    """A `Registry`."""

    def __init__(self, registry: Registry, meter: Meter) -> None:
        self._registry = registry
        self._meter = meter

    def champion(self, model: str) -> Champion | None:
        """The version that alias `champion` points to."""
        with self._meter.call("champion"):
            return self._registry.champion(model)

    def outcome(self, model: str, run_key: str) -> Outcome:
        """What the run of this key has left."""
        with self._meter.call("outcome"):
            return self._registry.outcome(model, run_key)

    def record_decision(self, model: str, version: str, tags: Mapping[str, str]) -> None:
        """Write the decision on the version."""
        with self._meter.call("record_decision"):
            self._registry.record_decision(model, version, tags)

    def describe(self, model: str, version: str, card: str) -> None:
        """Write the version's description."""
        with self._meter.call("describe"):
            self._registry.describe(model, version, card)

    def keep_report(self, model: str, run_key: str, page: str) -> None:
        """Keep the page beside the evidence."""
        with self._meter.call("keep_report"):
            self._registry.keep_report(model, run_key, page)

    def promote(self, model: str, version: str, *, expected: str) -> str:
        """Point `champion` at the version, if it still points at the expected one."""
        with self._meter.call("promote"):
            return self._registry.promote(model, version, expected=expected)

    def move_champion(self, model: str, version: str, *, expected: str) -> str:
        """The same for a person."""
        with self._meter.call("move_champion"):
            return self._registry.move_champion(model, version, expected=expected)

    def close(self) -> None:
        """Release what the adapter holds."""
        self._registry.close()


class MeasuredBucket:
    """A `Bucket`.

    Args:
        bucket: The adapter.
        part: Is told whether it can be listed.
        pulse: Of the loop that lists; every page is progress.
        on_listed: Called after every complete listing.
    """

    def __init__(self, bucket: Bucket, *, part: Part, pulse: Pulse, on_listed: Callable[[], None]) -> None:
        self._bucket = bucket
        self._part = part
        self._pulse = pulse
        self._on_listed = on_listed

    def list_drops(self, known: Known) -> Iterator[Sequence[Listed]]:
        """What is new in the bucket, page by page."""
        try:
            for page in self._bucket.list_drops(known):
                self._pulse.beat()
                yield page
        except (TemporaryError, PermanentError) as exc:
            self._part.failed(redacted(str(exc)))
            raise
        self._part.answered()
        self._on_listed()


class MeasuredSubscription:
    """A `Subscription`.

    Args:
        subscription: The adapter.
        part: Is told whether the stream is open.
        on_change: Called with whether the stream is alive, as far as is known.
    """

    def __init__(self, subscription: Subscription, *, part: Part, on_change: Callable[[bool], None]) -> None:
        self._subscription = subscription
        self._part = part
        self._on_change = on_change
        on_change(False)  # noqa: FBT003 - a gauge's value

    def open(self, *, on_arrival: Callable[[], None], on_end: Callable[[], None]) -> None:
        """Open the stream."""
        with self._watched():
            self._subscription.open(on_arrival=on_arrival, on_end=on_end)

    def probe(self) -> None:
        """Return while the stream is open."""
        with self._watched():
            self._subscription.probe()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except (TemporaryError, PermanentError) as exc:
            self._tell(str(exc))
            raise
        self._tell("")

    def _tell(self, problem: str) -> None:
        if problem:
            self._part.failed(redacted(problem))
        else:
            self._part.answered()
        self._on_change(not problem)

    def take(self, limit: int) -> Sequence[Delivery]:
        """Up to so many of the messages that wait."""
        return self._subscription.take(limit)

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge these messages."""
        self._subscription.ack(deliveries)

    def hold(self, deliveries: Sequence[Delivery]) -> None:
        """Ask not to deliver these messages again for a while."""
        self._subscription.hold(deliveries)

    def close(self, give_back: Sequence[Delivery] = ()) -> None:
        """Close the stream."""
        self._tell("the stream is closed")
        self._subscription.close(give_back)
