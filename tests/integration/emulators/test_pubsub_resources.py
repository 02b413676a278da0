from datetime import timedelta

import pytest
from google.api_core.exceptions import AlreadyExists, InvalidArgument, NotFound
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.protobuf.duration_pb2 import Duration
from google.pubsub_v1.types import DeadLetterPolicy, RetryPolicy

from tests.integration.emulators.conftest import MakeLine
from tests.integration.emulators.lines import PROJECT, Line, a_name


def test_created_topic_is_listed_until_it_is_deleted(publisher: PublisherClient) -> None:
    """Create, get, list, delete."""
    name = publisher.create_topic(name=a_name("topics")).name
    assert publisher.get_topic(topic=name).name == name
    assert name in [topic.name for topic in publisher.list_topics(project=f"projects/{PROJECT}")]
    publisher.delete_topic(topic=name)
    assert name not in [topic.name for topic in publisher.list_topics(project=f"projects/{PROJECT}")]
    with pytest.raises(NotFound):
        publisher.get_topic(topic=name)


def test_topic_cannot_be_created_twice(publisher: PublisherClient) -> None:
    """A name belongs to one topic."""
    name = publisher.create_topic(name=a_name("topics")).name
    with pytest.raises(AlreadyExists):
        publisher.create_topic(name=name)


@pytest.mark.parametrize(
    "name", ["projects/p/topics/ab", "projects/p/topics/1abc", "topics/abcd", "projects/p/subscriptions/abcd"]
)
def test_malformed_name_is_refused(publisher: PublisherClient, name: str) -> None:
    """Names follow the documented grammar."""
    with pytest.raises(InvalidArgument):
        publisher.create_topic(name=name)


def test_list_is_read_page_by_page(make_line: MakeLine, line: Line) -> None:
    """A page ends where the next one goes on."""
    others = [make_line(topic=line.topic).subscription for _ in range(4)]
    listed = line.publisher.list_topic_subscriptions(request={"topic": line.topic, "page_size": 2})
    assert [len(page.subscriptions) for page in listed.pages] == [2, 2, 1]
    again = line.publisher.list_topic_subscriptions(request={"topic": line.topic, "page_size": 2})
    assert sorted(again) == sorted([line.subscription, *others])


def test_subscription_keeps_every_field(make_line: MakeLine, publisher: PublisherClient) -> None:
    """What was configured is what is got."""
    dead_letters = publisher.create_topic(name=a_name("topics")).name
    backoff = RetryPolicy(minimum_backoff=Duration(seconds=1), maximum_backoff=Duration(seconds=2))
    line = make_line(
        ack_deadline_seconds=17,
        enable_message_ordering=True,
        filter='attributes.a = "1"',
        dead_letter_policy=DeadLetterPolicy(dead_letter_topic=dead_letters, max_delivery_attempts=6),
        retry_policy=backoff,
        enable_exactly_once_delivery=True,
        labels={"a": "1"},
        message_retention_duration=Duration(seconds=3600),
        retain_acked_messages=True,
    )
    got = line.subscriber.get_subscription(subscription=line.subscription)
    assert (got.topic, got.ack_deadline_seconds, got.filter) == (line.topic, 17, 'attributes.a = "1"')
    assert (got.enable_message_ordering, got.enable_exactly_once_delivery, got.retain_acked_messages) == (True, True, True)
    assert (got.dead_letter_policy.dead_letter_topic, got.dead_letter_policy.max_delivery_attempts) == (dead_letters, 6)
    assert (got.retry_policy, dict(got.labels)) == (backoff, {"a": "1"})
    assert got.message_retention_duration == timedelta(hours=1)


@pytest.mark.parametrize("wrong", [{"ack_deadline_seconds": 9}, {"ack_deadline_seconds": 601}, {"filter": "attributes.a"}])
def test_subscription_with_a_wrong_field_is_refused(make_line: MakeLine, wrong: dict[str, object]) -> None:
    """Limits are those of the service."""
    with pytest.raises(InvalidArgument):
        make_line(**wrong)


def test_update_changes_what_its_mask_names(line: Line) -> None:
    """One field is changed, the others stay."""
    request = {
        "subscription": {"name": line.subscription, "ack_deadline_seconds": 33, "labels": {"not": "named"}},
        "update_mask": {"paths": ["ack_deadline_seconds"]},
    }
    line.subscriber.update_subscription(request=request)
    got = line.subscriber.get_subscription(subscription=line.subscription)
    assert (got.ack_deadline_seconds, dict(got.labels)) == (33, {})


def test_publishing_to_a_missing_topic_fails(publisher: PublisherClient) -> None:
    """The publisher is told."""
    with pytest.raises(NotFound):
        publisher.publish(a_name("topics"), b"data").result(timeout=240)


def test_pulling_from_a_missing_subscription_fails(subscriber: SubscriberClient) -> None:
    """The subscriber is told."""
    with pytest.raises(NotFound):
        subscriber.pull(subscription=a_name("subscriptions"), max_messages=1, timeout=240, retry=None)


def test_stream_of_a_missing_subscription_ends(subscriber: SubscriberClient) -> None:
    """The stream's future carries the reason."""
    stream = subscriber.subscribe(a_name("subscriptions"), lambda message: message.ack())
    with pytest.raises(NotFound):
        stream.result(timeout=240)


def test_stream_ends_when_its_subscription_is_deleted(line: Line) -> None:
    """An open stream notices."""
    stream = line.subscriber.subscribe(line.subscription, lambda message: message.ack())
    line.publish(b"data")
    line.wait_until_settled()
    line.subscriber.delete_subscription(subscription=line.subscription)
    with pytest.raises(NotFound):
        stream.result(timeout=240)


def test_subscription_outlives_its_topic(line: Line) -> None:
    """The backlog stays, under a topic's name that says so."""
    line.publish(b"data")
    line.publisher.delete_topic(topic=line.topic)
    assert line.subscriber.get_subscription(subscription=line.subscription).topic == "_deleted-topic_"
    assert line.pull()[0].message.data == b"data"
