"""The subscriber with the real client against an emulator that fails in every way that a test asks for."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
import structlog
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient

from tests.emulators.fixtures import MakePubSub
from tests.emulators.pubsub_server import PubSubServer
from trainer_daemon.adapters.pubsub import LEASE_S, PubsubSubscription
from trainer_daemon.errors import ConfigError, PermanentError, TemporaryError, TrainerError
from trainer_daemon.policy.notifications import Message
from trainer_daemon.ports import Subscription
from trainer_daemon.subscriber import Subscriber


def until(condition: Callable[[], object], timeout_s: float = 240.0) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        threading.Event().wait(0.02)


class Notebook:
    """Receives messages; a test may make it fail or wait."""

    def __init__(self) -> None:
        self.listed = True
        self.begun = 0
        self.messages: list[Message] = []
        self.batches: list[int] = []
        self.failures: list[TrainerError] = []
        self.refusing = False

    def began(self) -> None:
        """Count."""
        self.begun += 1

    def receive(self, messages: Sequence[Message]) -> None:
        """Note, or fail as the test wants it."""
        if self.failures:
            raise self.failures.pop(0)
        if self.refusing:
            message = "ledger: away"
            raise TemporaryError(message)
        self.batches.append(len(messages))
        self.messages += messages

    @property
    def texts(self) -> list[str]:
        """What the messages say, each once."""
        return sorted({message.data.decode() for message in self.messages})


def _timed(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    event["at"] = time.monotonic()
    return event


class Line:
    """A topic with one subscription, and a subscriber to it."""

    def __init__(self, server: PubSubServer) -> None:
        self.server = server
        self.notebook = Notebook()
        self.log = structlog.testing.CapturingLogger()
        name = f"line-{uuid4().hex}"
        self.topic, self.name = f"projects/demo/topics/{name}", f"projects/demo/subscriptions/{name}"
        self.publisher = PublisherClient()
        self.publisher.create_topic(name=self.topic)
        self.subscribe()
        self.subscriber: Subscriber | None = None

    def subscribe(self) -> None:
        """Create the subscription."""
        with SubscriberClient() as client:
            client.create_subscription(name=self.name, topic=self.topic)

    def unsubscribe(self) -> None:
        """Delete the subscription."""
        with SubscriberClient() as client:
            client.delete_subscription(subscription=self.name)

    def publish(self, *texts: str) -> None:
        """Publish, and wait until the service has it."""
        for published in [self.publisher.publish(self.topic, text.encode(), kind="test") for text in texts]:
            published.result(timeout=240)

    def start(self, *, quiet_s: float = 30.0, subscription: Subscription | None = None) -> Subscriber:
        """Start a subscriber."""
        subscription = subscription or PubsubSubscription(self.name)
        log = structlog.wrap_logger(self.log, processors=[_timed], wrapper_class=structlog.make_filtering_bound_logger(0))
        self.subscriber = Subscriber(subscription, self.notebook, clock=lambda: datetime.now(UTC), log=log, quiet_s=quiet_s)
        self.subscriber.start()
        return self.subscriber

    def logged(self, name: str) -> list[dict[str, Any]]:
        """Severity and keys of the lines of an event."""
        return [{"severity": call.method_name, **call.kwargs} for call in self.log.calls if call.kwargs.get("event") == name]

    def has(self, texts: list[str]) -> bool:
        """Whether these messages have been recorded."""
        return self.notebook.texts == texts

    def backlog(self) -> int:
        """Messages that are not acknowledged."""
        return self.server.counts(self.name)["backlog"]

    def close(self) -> None:
        """End what was started."""
        if self.subscriber:
            self.subscriber.close()
        self.publisher.stop()
        self.publisher.transport.close()


@pytest.fixture
def line(make_pubsub: MakePubSub) -> Iterator[Line]:
    """On a service of its own."""
    with closing(Line(make_pubsub())) as opened:
        yield opened


def test_message_is_acknowledged_after_it_was_recorded(line: Line) -> None:
    """Attributes, body, id and time arrive; nothing is left on the subscription."""
    line.start()
    line.publish("a")
    until(lambda: line.backlog() == 0)
    (message,) = line.notebook.messages
    assert (message.data, message.attributes) == (b"a", {"kind": "test"})
    assert message.id
    assert abs((datetime.now(UTC) - message.published_at).total_seconds()) < 60
    assert [entry["severity"] for entry in line.logged("stream_opened")] == ["info"]


def test_what_cannot_be_recorded_is_held_and_not_acknowledged(line: Line) -> None:
    """For as long as the ledger is away; each message is recorded once, and acknowledged only then."""
    line.notebook.failures = [TemporaryError("ledger: database is locked"), TemporaryError("ledger: still")]
    line.publish("a", "b")
    line.start()
    until(lambda: len(line.notebook.failures) == 1)
    assert line.backlog() == 2
    until(lambda: line.backlog() == 0)
    assert sorted(message.data for message in line.notebook.messages) == [b"a", b"b"]
    assert line.server.counts(line.name)["delivered"] == 2


def test_what_is_held_is_not_delivered_again_and_again(line: Line) -> None:
    """A ledger that is away for longer than a lease must not make dead letters of messages."""
    line.notebook.refusing = True
    line.publish("a", "b")
    line.start()
    until(lambda: line.server.counts(line.name)["delivered"] == 2)
    with suppress(AssertionError):
        until(lambda: line.server.counts(line.name)["expired"], timeout_s=LEASE_S + 2)
    line.notebook.refusing = False
    until(lambda: line.backlog() == 0)
    counts = line.server.counts(line.name)
    assert (counts["delivered"], counts["expired"]) == (2, 0)


def test_what_waits_is_recorded_together(line: Line) -> None:
    """A backlog costs few transactions."""
    line.notebook.refusing = True
    line.publish(*(f"{number:03}" for number in range(300)))
    line.start()
    until(lambda: line.server.counts(line.name)["delivered"] == 300)
    line.notebook.refusing = False
    until(lambda: line.backlog() == 0)
    assert len(line.notebook.texts) == 300
    assert len(line.notebook.batches) < 60


def test_nothing_is_received_before_the_buckets_are_listed(line: Line) -> None:
    """Until then it cannot be told what is history."""
    line.notebook.listed = False
    line.publish("a")
    line.start()
    with suppress(AssertionError):
        until(lambda: line.notebook.messages, timeout_s=1.0)
    assert (line.notebook.messages, line.notebook.begun) == ([], 0)
    line.notebook.listed = True
    until(lambda: line.backlog() == 0)
    assert line.notebook.begun == 1


def test_service_that_is_killed_and_started_again_is_no_end(line: Line) -> None:
    """Nor is a second time; every message arrives."""
    line.start(quiet_s=0.5)
    line.publish("a")
    until(lambda: line.notebook.texts == ["a"])
    for texts in (["a", "b"], ["a", "b", "c"]):
        line.server.kill()
        line.server.start()
        line.publish(texts[-1])
        until(partial(line.has, texts))
    until(lambda: line.backlog() == 0)


def test_service_that_is_unavailable_is_asked_again_with_growing_pauses(line: Line) -> None:
    """It is said, with the reason and when it is tried again; afterwards the stream opens by itself."""
    line.start(quiet_s=0.2)
    until(lambda: line.logged("stream_opened"))
    line.server.refuse("UNAVAILABLE")
    until(lambda: len(line.logged("stream_interrupted")) >= 3)
    line.server.end_outages()
    line.publish("a")
    until(lambda: line.notebook.texts == ["a"])
    told = line.logged("stream_interrupted")
    assert {entry["severity"] for entry in told} == {"warning"}
    assert [entry["failures"] for entry in told[:3]] == [1, 2, 3]
    assert [entry["retry_in_s"] <= 2**at for at, entry in enumerate(told[:3])] == [True] * 3
    assert "503" in told[0]["reason"]
    assert len(line.logged("stream_opened")) == 2


def test_permission_that_is_taken_away_is_an_error_until_it_is_given_back(line: Line) -> None:
    """The stream itself ends then; it is tried again and again."""
    line.start()
    until(lambda: line.logged("stream_opened"))
    line.server.refuse("PERMISSION_DENIED", service="Subscriber")
    until(lambda: len(line.logged("stream_refused")) >= 2)
    line.server.end_outages()
    line.publish("a")
    until(lambda: line.notebook.texts == ["a"])
    assert {entry["severity"] for entry in line.logged("stream_refused")} == {"error"}
    assert "not authorized" in line.logged("stream_refused")[0]["reason"]


def test_subscription_that_is_deleted_is_an_error_until_it_is_made_again(line: Line) -> None:
    """The name in the reason is the subscription's."""
    line.start()
    until(lambda: line.logged("stream_opened"))
    line.unsubscribe()
    until(lambda: line.logged("stream_refused"))
    line.subscribe()
    until(lambda: len(line.logged("stream_opened")) >= 2)
    line.publish("a")
    until(lambda: line.notebook.texts == ["a"])
    assert f"pubsub {line.name}: 404" in line.logged("stream_refused")[0]["reason"]


def test_stream_that_fell_silent_is_restarted_when_something_was_missed(line: Line) -> None:
    """Open, without an error, and dead: only somebody who found a drop otherwise can tell."""
    subscriber = line.start()
    line.publish("a")
    until(lambda: line.notebook.texts == ["a"])
    line.server.mute_open_streams()
    line.publish("b")
    subscriber.suspect(datetime.now(UTC))
    until(lambda: line.notebook.texts == ["a", "b"])
    (told,) = line.logged("stream_restarted")
    assert told["severity"] == "warning"
    assert "silent since" in told["reason"]


def test_stream_that_lives_is_not_restarted_for_one_lost_message(line: Line) -> None:
    """Something came after the drop that was missed."""
    subscriber = line.start()
    until(lambda: line.logged("stream_opened"))
    missed_at = datetime.now(UTC)
    line.publish("a")
    until(lambda: line.backlog() == 0)
    subscriber.suspect(missed_at)
    line.publish("b")
    until(lambda: line.backlog() == 0)
    assert line.logged("stream_restarted") == []


def test_what_was_not_recorded_is_given_back_at_a_stop(line: Line) -> None:
    """The next process gets it at once, and does not wait for the lease to end."""
    line.publish("a", "b")
    line.notebook.failures = [TemporaryError("ledger: gone")] * 9
    first = line.start()
    until(lambda: len(line.notebook.failures) < 9)
    first.close()
    line.notebook.failures = []
    line.start()
    until(partial(line.has, ["a", "b"]))
    until(lambda: line.backlog() == 0)
    assert line.server.counts(line.name)["expired"] == 0


class Ending(PubsubSubscription):
    """Its stream ends at some of the looks at it, as the service does with every stream now and then."""

    def __init__(self, name: str, ends: list[bool]) -> None:
        super().__init__(name)
        self.ends = ends

    def probe(self) -> None:
        """End, or not."""
        if self.ends and self.ends.pop(0):
            message = "the service has ended the stream"
            raise TemporaryError(message)
        super().probe()


def test_stream_that_the_service_ends_is_opened_again_without_a_warning(line: Line) -> None:
    """Only when the next one ends at once there is trouble."""
    subscription = Ending(line.name, [False, True, False, True, True])
    line.start(quiet_s=0.2, subscription=subscription)
    until(lambda: len(line.logged("stream_opened")) == 4)
    line.publish("a")
    until(partial(line.has, ["a"]))
    assert [entry["severity"] for entry in line.logged("stream_opened")] == ["info", "debug", "debug", "info"]
    (trouble,) = line.logged("stream_interrupted")
    assert trouble["failures"] == 1
    assert line.logged("stream_opened")[3]["at"] - trouble["at"] >= trouble["retry_in_s"] - 0.1


def test_closing_acknowledges_what_was_recorded(line: Line) -> None:
    """Nothing of it comes again."""
    subscriber = line.start()
    line.publish(*(str(number) for number in range(50)))
    until(lambda: len(line.notebook.messages) == 50)
    subscriber.close()
    until(lambda: line.backlog() == 0)


def test_closing_takes_little_time_when_the_service_is_gone(line: Line) -> None:
    """A stop is promised within ten seconds."""
    subscriber = line.start()
    until(lambda: line.logged("stream_opened"))
    line.server.kill()
    started = time.monotonic()
    subscriber.close()
    assert time.monotonic() - started < 50


def test_usable_subscription_passes_the_check(line: Line) -> None:
    """And is left as it was."""
    PubsubSubscription(line.name).check()


@pytest.mark.usefixtures("line")
def test_missing_subscription_is_told_with_the_command_that_makes_it() -> None:
    """All but the topic's name, which only the user knows."""
    with pytest.raises(ConfigError) as caught:
        PubsubSubscription("projects/demo/subscriptions/nowhere").check()
    assert str(caught.value) == (
        'subscription is "projects/demo/subscriptions/nowhere", but there is none; create it: '
        "gcloud pubsub subscriptions create nowhere --project=demo --topic=TOPIC, "
        "where TOPIC is the one that the bucket's notifications go to"
    )


def test_forbidden_subscription_is_told_with_the_commands_that_allow_it(line: Line) -> None:
    """The least roles that suffice."""
    line.server.refuse("PERMISSION_DENIED", service="Subscriber")
    with pytest.raises(ConfigError) as caught:
        PubsubSubscription(line.name).check()
    line.server.end_outages()
    short = line.name.rsplit("/", 1)[1]
    assert f"allow it: gcloud pubsub subscriptions add-iam-policy-binding {short} --project=demo --member=" in str(caught.value)
    assert str(caught.value).endswith("--role=roles/pubsub.subscriber, and the same with --role=roles/pubsub.viewer")


@pytest.mark.parametrize(
    ("code", "error"),
    [("UNAVAILABLE", TemporaryError), ("RESOURCE_EXHAUSTED", TemporaryError), ("INVALID_ARGUMENT", PermanentError)],
)
def test_check_tells_trouble_from_refusal(line: Line, code: str, error: type[TrainerError]) -> None:
    """Neither is a matter of configuration."""
    line.server.refuse(code, service="Subscriber")
    with pytest.raises(error, match=f"pubsub {line.name}: "):
        PubsubSubscription(line.name).check()
    line.server.end_outages()


def _conforms(subscription: PubsubSubscription) -> Subscription:
    """The type checker's proof that the adapter plays the role."""
    return subscription
