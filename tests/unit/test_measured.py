"""What passes through the measuring adapters unchanged, and what they tell of it."""

from collections.abc import Callable, Iterator, Sequence

import pytest

from tests.fakes import FakeOrchestrator, FakeRegistry
from trainer_daemon.errors import PermanentError, TemporaryError, TrainerError
from trainer_daemon.measured import MeasuredBucket, MeasuredOrchestrator, MeasuredRegistry, MeasuredSubscription, Meter
from trainer_daemon.policy.observations import Observation, Phase
from trainer_daemon.ports import Bucket, Delivery, Incomplete, Known, Listed, RunRequest, Subscription
from trainer_daemon.telemetry.metrics import Metrics
from trainer_daemon.telemetry.vitals import Part, Pulse

REQUEST = RunRequest(name="churn-1", pipeline="training", parameters={}, timeout_s=1.0)


class Beats(Pulse):
    """Counts the beats."""

    count = 0

    def beat(self) -> None:
        """One more."""
        self.count += 1


class Broken(FakeOrchestrator):
    """Looks at runs fail as a test wants it."""

    def __init__(self, error: TrainerError) -> None:
        super().__init__()
        self.error = error

    def observe(self, names: Sequence[str]) -> dict[str, Observation]:  # noqa: ARG002 - of the role
        """Fail."""
        raise self.error


class Pages:
    """A bucket of some pages, and perhaps an error after them."""

    def __init__(self, *pages: Sequence[Listed], error: TrainerError | None = None) -> None:
        self.pages = pages
        self.error = error

    def list_drops(self, known: Known) -> Iterator[Sequence[Listed]]:
        """The pages."""
        known([])
        yield from self.pages
        if self.error:
            raise self.error


class Stream:
    """A subscription whose stream ends as a test wants it."""

    def __init__(self) -> None:
        self.end: TrainerError | None = None
        self.given_back: Sequence[Delivery] = ()

    def open(self, *, on_arrival: Callable[[], None], on_end: Callable[[], None]) -> None:
        """Nothing to open."""
        on_arrival()
        on_end()

    def probe(self) -> None:
        """Fail if it has ended."""
        if self.end:
            raise self.end

    def take(self, limit: int) -> Sequence[Delivery]:
        """Nothing waits."""
        return [][:limit]

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Nothing to acknowledge."""

    def hold(self, deliveries: Sequence[Delivery]) -> None:
        """Nothing to hold."""

    def close(self, give_back: Sequence[Delivery] = ()) -> None:
        """Remember what was given back."""
        self.given_back = give_back


def measured(orchestrator: FakeOrchestrator) -> tuple[MeasuredOrchestrator, Part, Metrics]:
    """An orchestrator, and who is told of its calls."""
    part, metrics = Part("orchestrator"), Metrics([])
    meter = Meter("orchestrator", part=part, pulse=Pulse("reconcile"), metrics=metrics)
    return MeasuredOrchestrator(orchestrator, meter), part, metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """The value of a sample."""
    return metrics.registry.get_sample_value(name, labels)


def test_calls_of_the_orchestrator_are_timed() -> None:
    """Each by its name, and what it answers passes."""
    orchestrator, part, metrics = measured(FakeOrchestrator())
    assert orchestrator.submit(REQUEST).run_id == "churn-1"
    assert orchestrator.observe(["churn-1"])["churn-1"].phase is Phase.RUNNING
    orchestrator.cancel("churn-1")
    orchestrator.archive("churn-1")
    assert part.problem == ""
    for call in ("submit", "observe", "cancel", "archive"):
        assert value(metrics, "trainer_call_duration_seconds_count", service="orchestrator", call=call) == 1


def test_calls_of_the_registry_are_timed() -> None:
    """Under the service's own name."""
    metrics, pulse = Metrics([]), Beats("reconcile")
    registry = MeasuredRegistry(FakeRegistry(), Meter("mlflow", part=Part("mlflow"), pulse=pulse, metrics=metrics))
    assert registry.champion("churn") is None
    assert registry.outcome("churn", "k").version == ""
    assert value(metrics, "trainer_call_duration_seconds_count", service="mlflow", call="champion") == 1
    assert value(metrics, "trainer_call_duration_seconds_count", service="mlflow", call="outcome") == 1
    assert pulse.count == 2


@pytest.mark.parametrize(
    ("error", "kind", "problem"),
    [
        (TemporaryError("no answer from http://me:secret@kfp"), "temporary", "no answer from http://***@kfp"),
        (PermanentError("it refuses"), "permanent", ""),
    ],
)
def test_failing_call_is_counted_by_kind(error: TrainerError, kind: str, problem: str) -> None:
    """Who refuses has been reached; secrets stay out of what is said."""
    orchestrator, part, metrics = measured(Broken(error))
    with pytest.raises(type(error)):
        orchestrator.observe(["churn-1"])
    assert part.problem == problem
    assert value(metrics, "trainer_call_errors_total", service="orchestrator", call="observe", kind=kind) == 1
    assert value(metrics, "trainer_call_duration_seconds_count", service="orchestrator", call="observe") == 1


def listing(bucket: Bucket) -> tuple[MeasuredBucket, Part, Beats, list[str]]:
    """A bucket, and who is told of its listings."""
    part, pulse, looks = Part("bucket churn"), Beats("list churn"), list[str]()
    return MeasuredBucket(bucket, part=part, pulse=pulse, on_listed=lambda: looks.append("listed")), part, pulse, looks


def test_every_page_of_a_listing_is_progress() -> None:
    """However many there are; the look counts once all were seen."""
    pages = [[Incomplete(name="a")], [Incomplete(name="b")], []]
    bucket, part, pulse, looks = listing(Pages(*pages))
    assert list(bucket.list_drops(lambda _: {})) == pages
    assert (pulse.count, part.problem, looks) == (3, "", ["listed"])


@pytest.mark.parametrize("error", [TemporaryError("503"), PermanentError("403")])
def test_bucket_that_cannot_be_listed_is_not_reachable(error: TrainerError) -> None:
    """Also when it refuses; a listing that broke off was no successful look."""
    bucket, part, _, looks = listing(Pages([], error=error))
    with pytest.raises(type(error)):
        list(bucket.list_drops(lambda _: {}))
    assert (part.problem, looks) == (str(error), [])


def test_stream_is_alive_from_open_to_close() -> None:
    """And dead before, between, and after an error."""
    stream, part, states = Stream(), Part("subscription s"), list[bool]()
    subscription: Subscription = MeasuredSubscription(stream, part=part, on_change=states.append)
    subscription.open(on_arrival=lambda: None, on_end=lambda: None)
    subscription.probe()
    stream.end = TemporaryError("the stream has ended")
    with pytest.raises(TemporaryError):
        subscription.probe()
    assert part.problem == "the stream has ended"
    subscription.close()
    assert part.problem == "the stream is closed"
    assert states == [False, True, True, False, False]
