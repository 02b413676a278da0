import time
from datetime import UTC, datetime
from threading import Timer

import pytest
from google.api_core.exceptions import FailedPrecondition, InvalidArgument
from google.cloud.pubsub_v1 import PublisherClient
from google.protobuf.duration_pb2 import Duration
from google.pubsub_v1.types import DeadLetterPolicy, RetryPolicy

from tests.emulators.pubsub import wire
from tests.emulators.pubsub.settings import backoff_s
from tests.integration.emulators.conftest import MakeLine
from tests.integration.emulators.lines import Line, a_name


def test_message_arrives_as_it_was_published(line: Line) -> None:
    """Data, attributes, identifier, time."""
    identifier = line.publish(b"hello", a="1", b="2")
    received = line.pull()[0].message
    assert (received.data, dict(received.attributes), received.message_id) == (b"hello", {"a": "1", "b": "2"}, identifier)
    assert abs((datetime.now(UTC) - received.publish_time).total_seconds()) < 60


def test_acked_message_is_never_delivered_again(line: Line) -> None:
    """Nothing is left."""
    line.publish(b"data")
    line.ack(line.pull())
    assert line.counts()["backlog"] == 0
    assert line.is_empty()


def test_message_without_data_and_attributes_is_refused(line: Line) -> None:
    """As the service does."""
    with pytest.raises(InvalidArgument):
        line.publish(b"")


def test_pull_waits_for_a_message(line: Line) -> None:
    """The call returns with the message, not empty before it."""
    started, late = time.monotonic(), Timer(0.7, line.publish, (b"late",))
    late.start()
    received = line.subscriber.pull(subscription=line.subscription, max_messages=1, timeout=240, retry=None).received_messages
    assert [each.message.data for each in received] == [b"late"]
    assert time.monotonic() - started > 0.5
    late.join()


def test_leased_message_comes_again_after_the_subscriptions_deadline(make_line: MakeLine) -> None:
    """Ten seconds are the shortest deadline there is, and the default."""
    line = make_line(ack_deadline_seconds=0)
    line.publish(b"data")
    started = time.monotonic()
    line.pull()
    line.pull()
    assert 10 <= time.monotonic() - started < 60


def test_lease_ends_when_the_subscriber_says(line: Line) -> None:
    """A deadline can be changed to any number of seconds."""
    line.publish(b"data")
    received = line.pull()
    started = time.monotonic()
    line.hold(received, seconds=2)
    assert line.pull()
    assert 2 <= time.monotonic() - started < 60


def test_extended_lease_is_honoured(line: Line) -> None:
    """The last word counts."""
    line.publish(b"data")
    received = line.pull()
    line.hold(received, seconds=8)
    line.hold(received, seconds=600)
    assert line.is_empty(for_s=8.5)


def test_message_that_is_given_back_comes_again_at_once(line: Line) -> None:
    """A deadline of 0 is a nack."""
    line.publish(b"data")
    line.hold(line.pull(), seconds=0)
    assert line.pull()


def test_ack_that_comes_too_late_is_ignored(line: Line) -> None:
    """The message is delivered again, and that delivery is the one to be acked."""
    line.publish(b"data")
    first = line.pull()
    line.hold(first, seconds=0)
    second = line.pull()
    line.ack(first)
    assert line.counts()["backlog"] == 1
    line.ack(second)
    assert line.counts()["backlog"] == 0


def test_every_subscription_gets_a_message_that_was_published_after_it(make_line: MakeLine, line: Line) -> None:
    """Fan-out, from the moment a subscription exists."""
    second = make_line(topic=line.topic)
    line.publish(b"data")
    later = make_line(topic=line.topic)
    assert line.pull()
    assert second.pull()
    assert later.is_empty()


def test_nacked_message_becomes_a_dead_letter_after_its_attempts(make_line: MakeLine, line: Line) -> None:
    """Five deliveries, each with its number; then it is the dead-letter topic's, with where it came from."""
    poisoned = make_line(dead_letter_policy=DeadLetterPolicy(dead_letter_topic=line.topic, max_delivery_attempts=5))
    identifier = poisoned.publish(b"poison", k="v")
    attempts = []
    for _ in range(5):
        received = poisoned.pull()
        attempts.append(received[0].delivery_attempt)
        poisoned.hold(received, seconds=0)
    letter = line.pull()[0].message
    assert attempts == [1, 2, 3, 4, 5]
    assert (letter.data, letter.attributes["k"]) == (b"poison", "v")
    assert letter.attributes["CloudPubSubDeadLetterSourceDeliveryCount"] == "5"
    assert letter.attributes["CloudPubSubDeadLetterSourceSubscription"] == poisoned.subscription.rsplit("/", 1)[-1]
    assert letter.message_id != identifier
    assert poisoned.counts()["backlog"] == 0


def test_delivery_attempt_is_counted_only_with_a_dead_letter_policy(line: Line) -> None:
    """Zero otherwise."""
    line.publish(b"data")
    assert line.pull()[0].delivery_attempt == 0


def test_dead_letter_whose_topic_is_gone_stays(make_line: MakeLine, publisher: PublisherClient) -> None:
    """It is delivered on and on rather than lost."""
    dead_letters = publisher.create_topic(name=a_name("topics")).name
    line = make_line(dead_letter_policy=DeadLetterPolicy(dead_letter_topic=dead_letters, max_delivery_attempts=5))
    publisher.delete_topic(topic=dead_letters)
    line.publish(b"data")
    for _ in range(7):
        line.hold(line.pull(), seconds=0)
    assert line.counts()["backlog"] == 1


def test_retry_policy_delays_the_next_delivery(make_line: MakeLine) -> None:
    """Twice as long each time, up to the longest."""
    line = make_line(retry_policy=RetryPolicy(minimum_backoff=Duration(seconds=1), maximum_backoff=Duration(nanos=1_500_000_000)))
    line.publish(b"data")
    received = line.pull()
    for shortest_s in (1.0, 1.5):
        nacked = time.monotonic()
        line.hold(received, seconds=0)
        received = line.pull()
        assert time.monotonic() - nacked >= shortest_s
    policy = wire.Subscription(retry_policy={"minimum_backoff": {"seconds": 1}, "maximum_backoff": {"nanos": 1_500_000_000}})
    assert [backoff_s(policy, attempts) for attempts in (1, 2, 3, 30)] == [1.0, 1.5, 1.5, 1.5]


def test_filter_lets_only_matching_messages_pass(make_line: MakeLine) -> None:
    """By attributes; what does not match is never the subscription's."""
    line = make_line(filter='attributes.eventType = "OBJECT_FINALIZE" AND hasPrefix(attributes.objectId, "in/")')
    for event, name in (("OBJECT_DELETE", "in/1"), ("OBJECT_FINALIZE", "in/2"), ("OBJECT_FINALIZE", "out/3")):
        line.publish(b"", eventType=event, objectId=name)
    assert [each.message.attributes["objectId"] for each in line.pull()] == ["in/2"]
    assert line.counts()["published"] == 1


def test_exactly_once_subscription_refuses_a_late_ack(make_line: MakeLine) -> None:
    """Good acknowledgements in the same request count."""
    line = make_line(enable_exactly_once_delivery=True)
    line.publish(b"late")
    line.publish(b"good")
    both = line.pull(2)
    line.hold(both[:1], seconds=0)
    with pytest.raises(FailedPrecondition) as refused:
        line.ack(both)
    assert "PERMANENT_FAILURE_INVALID_ACK_ID" in str(refused.value.details)
    assert line.counts()["acked"] == 1
    assert line.counts()["backlog"] == 1


def test_messages_of_one_key_are_delivered_one_after_another(make_line: MakeLine, ordered_publisher: PublisherClient) -> None:
    """Each key's next message waits for the one before; a message given back comes before its successors."""
    line = make_line(enable_message_ordering=True)
    for number in range(6):
        ordered_publisher.publish(line.topic, b"%d" % number, ordering_key=f"k{number % 2}").result(timeout=240)
    heads = line.pull(2)
    assert [each.message.data for each in heads] == [b"0", b"1"]
    assert line.is_empty(), "successors wait for their heads"
    line.hold(heads[:1], seconds=0)
    line.ack(heads[1:])
    assert sorted(each.message.data for each in line.pull(2)) == [b"0", b"3"]


def test_retained_messages_tell_when_they_were_acknowledged(make_line: MakeLine) -> None:
    """Those that were; without retention nothing is remembered of them."""
    line, forgetful = make_line(retain_acked_messages=True), make_line()
    for each in (line, forgetful):
        each.publish(b"acked", kind="test")
        each.ack(each.pull())
        each.publish(b"waiting")
    (acked,) = line.server.acked(line.subscription)
    assert (acked.data, acked.attributes) == ("acked", {"kind": "test"})
    assert abs(acked.at - time.time()) < 120
    assert forgetful.server.acked(forgetful.subscription) == []
