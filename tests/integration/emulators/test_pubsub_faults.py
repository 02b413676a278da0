from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from google.api_core.exceptions import PermissionDenied, ServiceUnavailable
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient

from tests.acceptance.harness import wait_until
from tests.emulators.fixtures import MakePubSub
from tests.integration.emulators.lines import Line, let_pass, open_line
from tests.integration.emulators.streams import Seen, streaming

OwnLine = Callable[..., Line]
PATIENCE_S = 240.0
"""For a stream of the client library, which opens itself again with pauses of its own."""


@pytest.fixture
def own_line(make_pubsub: MakePubSub) -> Iterator[OwnLine]:
    """Open a line of a service of its own, keyword arguments are those of `Rates`."""
    clients: list[tuple[PublisherClient, SubscriberClient]] = []

    def make(**rates: float) -> Line:
        server = make_pubsub(**rates)
        clients.append((PublisherClient(), SubscriberClient()))
        return open_line(*clients[-1], server)

    yield make
    for publisher, subscriber in clients:
        publisher.stop()
        publisher.transport.close()
        subscriber.close()


def test_duplicated_message_comes_twice(own_line: OwnLine) -> None:
    """Acked or not; both deliveries carry the same identifier."""
    line = own_line(duplicate=1.0)
    identifier = line.publish(b"data")
    line.ack(line.pull())
    again = line.pull()
    assert again[0].message.message_id == identifier
    line.ack(again)
    assert line.is_empty(for_s=1.2)
    assert (line.counts()["published"], line.counts()["duplicated"], line.counts()["delivered"]) == (1, 1, 2)


def test_dropped_message_never_comes(own_line: OwnLine) -> None:
    """The publisher knows nothing of it."""
    line = own_line(drop=1.0)
    assert line.publish(b"data")
    assert line.is_empty()
    assert (line.counts()["published"], line.counts()["dropped"], line.counts()["backlog"]) == (1, 1, 0)


def test_lease_that_ends_at_once_brings_the_message_again(own_line: OwnLine) -> None:
    """Until one lease holds; every message is acked in the end."""
    line, seen = own_line(expire=0.5, seed=1), Seen()
    with streaming(line, seen.ack):
        for number in range(50):
            line.publish(b"%d" % number)
        line.wait_until_settled()
    counts, deliveries = line.counts(), Counter(seen.messages)
    assert len(deliveries) == counts["acked"] == 50
    assert max(deliveries.values()) > 1
    assert counts["expired"] == counts["delivered"] - 50 > 10


def test_same_seed_causes_the_same_faults(own_line: OwnLine) -> None:
    """By the order in which messages are published; another seed causes others."""

    def dropped(seed: int) -> list[bytes]:
        line = own_line(drop=0.3, seed=seed)
        sent = [b"%d" % number for number in range(60)]
        for data in sent:
            line.publish(data)
        arrived = line.pull(60 - line.counts()["dropped"])
        return sorted(set(sent) - {each.message.data for each in arrived})

    first = dropped(1)
    assert 5 < len(first) < 35
    assert dropped(1) == first
    assert dropped(2) != first


def test_muted_stream_stays_open_and_a_new_one_delivers(own_line: OwnLine) -> None:
    """A stream can die without a word."""
    line, mute, fresh = own_line(), Seen(), Seen()
    with streaming(line, mute.ack):
        line.publish(b"before")
        line.wait_until_settled()
        line.server.mute_open_streams()
        line.publish(b"after")
        let_pass(1.0)
        assert mute.messages == [b"before"]
        with SubscriberClient() as client, streaming(line, fresh.ack, client):
            line.wait_until_settled()
    assert (mute.messages, fresh.messages) == ([b"before"], [b"after"])


def test_silence_lasts_its_time_and_then_everything_comes(own_line: OwnLine) -> None:
    """New streams are silent too."""
    line, seen = own_line(), Seen()
    line.server.silence()
    line.publish(b"data")
    with streaming(line, seen.ack):
        let_pass(0.8)
        assert not seen.messages
        line.server.silence(0.5)
        line.wait_until_settled()
    assert seen.messages == [b"data"]


def test_stream_goes_on_after_the_service_was_unavailable(own_line: OwnLine) -> None:
    """The client's stream is ended and refused meanwhile, opens again by itself, and brings what was published then."""
    line, seen = own_line(), Seen()
    with streaming(line, seen.ack):
        line.publish(b"before")
        line.wait_until_settled()
        settled = seen.messages.count(b"before")
        line.server.refuse("UNAVAILABLE", service="Subscriber")
        line.publish(b"during")
        wait_until(lambda: line.server.refused() >= 2, "the stream is refused after it was ended", PATIENCE_S)
        assert b"during" not in seen.messages
        line.server.end_outages()
        line.publish(b"after")
        wait_until(lambda: {b"during", b"after"} <= set(seen.messages), "the stream goes on", PATIENCE_S)
        wait_until(lambda: line.counts()["backlog"] == 0, "everything is acknowledged", PATIENCE_S)
    assert seen.messages.count(b"before") == settled


def test_one_service_can_be_refused_alone(own_line: OwnLine) -> None:
    """Notifications go on being published while nobody can read them."""
    line = own_line()
    line.server.refuse("UNAVAILABLE", service="Subscriber")
    line.publish(b"data")
    with pytest.raises(ServiceUnavailable):
        line.subscriber.get_subscription(subscription=line.subscription, retry=None)
    line.server.end_outages()
    assert line.pull()[0].message.data == b"data"


def test_denied_permission_ends_an_open_stream(own_line: OwnLine) -> None:
    """The stream's future carries the reason."""
    line = own_line()
    stream = line.subscriber.subscribe(line.subscription, lambda message: message.ack())
    line.publish(b"data")
    line.wait_until_settled()
    line.server.refuse("PERMISSION_DENIED")
    with pytest.raises(PermissionDenied, match="not authorized"):
        stream.result(timeout=240)
    with pytest.raises(PermissionDenied):
        line.publish(b"data")


def test_killed_service_remembers_everything(own_line: OwnLine) -> None:
    """Topics, subscriptions, backlog, acknowledgements, and leases that last."""
    line = own_line()
    for data in (b"acked", b"leased", b"waiting"):
        line.publish(data)
    acked, leased = line.pull(2)
    line.ack([acked])
    line.server.kill()
    line.server.start()
    assert [each.message.data for each in line.pull()] == [b"waiting"]
    assert line.is_empty()
    line.ack([leased])
    assert (line.counts()["acked"], line.counts()["backlog"]) == (2, 1)


def test_stream_goes_on_after_the_service_was_killed(own_line: OwnLine) -> None:
    """The client opens it again at the same address; what was not acked comes, what was acked does not."""
    line, seen = own_line(), Seen()
    with streaming(line, seen.ack):
        line.publish(b"before")
        line.wait_until_settled()
        settled = seen.messages.count(b"before")
        line.server.kill()
        line.server.start()
        line.publish(b"after")
        wait_until(lambda: b"after" in seen.messages, "the stream goes on", PATIENCE_S)
        wait_until(lambda: line.counts()["backlog"] == 0, "everything is acknowledged", PATIENCE_S)
    assert set(seen.messages) == {b"before", b"after"}
    assert seen.messages.count(b"before") == settled
