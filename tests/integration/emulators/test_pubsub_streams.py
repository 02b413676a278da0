import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import count

from google.api_core.exceptions import GoogleAPICallError
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.cloud.pubsub_v1.subscriber.message import Message
from google.pubsub_v1.types import DeadLetterPolicy, ReceivedMessage, StreamingPullRequest

from tests.acceptance.harness import wait_until
from tests.integration.emulators.conftest import MakeLine
from tests.integration.emulators.lines import Line, let_pass
from tests.integration.emulators.streams import Seen, streaming


def test_stream_delivers_once_what_is_acked_and_again_what_is_nacked(line: Line) -> None:
    """Until everything is acked."""
    seen = Seen()

    def callback(message: Message) -> None:
        times = seen.note(message)
        if message.data == b"nacked" and times < 3:
            message.nack()
        else:
            message.ack()

    with streaming(line, callback):
        line.publish(b"acked")
        line.publish(b"nacked")
        line.wait_until_settled()
    assert Counter(seen.messages) == {b"acked": 1, b"nacked": 3}


def test_client_extends_the_lease_of_a_message_it_works_on(line: Line) -> None:
    """A callback may take longer than the stream's leases last."""

    def is_extended() -> bool:
        """The client extends a lease a second before its end, which a busy machine may miss now and then."""
        seen, expired = Seen(), line.counts()["expired"]

        def callback(message: Message) -> None:
            if seen.note(message) == 1:
                let_pass(12)
            message.ack()

        with streaming(line, callback, max_duration_per_lease_extension=10):
            line.publish(b"slow")
            line.wait_until_settled()
        return line.counts()["expired"] == expired and seen.messages == [b"slow"]

    assert any(is_extended() for _ in range(5))


def test_server_stops_at_the_streams_limit(line: Line) -> None:
    """Flow control is the server's: nobody acks, so nothing more comes."""
    for number in range(50):
        line.publish(b"%d" % number)
    over = threading.Event()

    def requests() -> Iterator[StreamingPullRequest]:
        yield StreamingPullRequest(
            subscription=line.subscription, stream_ack_deadline_seconds=60, max_outstanding_messages=5, client_id="test"
        )
        over.wait(240)

    received: list[ReceivedMessage] = []
    stream = line.subscriber.streaming_pull(requests(), retry=None, timeout=240)

    def end() -> None:
        wait_until(lambda: len(received) >= 5, "as many as may be come")
        let_pass(1.0)
        stream.cancel()

    ending = threading.Thread(target=end)
    ending.start()
    try:
        for response in stream:
            received += response.received_messages
    except GoogleAPICallError:
        over.set()
    ending.join()
    assert over.is_set(), "the stream lasts until the caller ends it"
    assert len(received) == 5


def test_client_works_on_no_more_than_its_limit(line: Line) -> None:
    """Everything arrives once, three at a time."""
    seen = Seen()

    def callback(message: Message) -> None:
        seen.note(message)
        with seen.at_work():
            wait_until(lambda: seen.most_working >= 3, "three work at once")
            let_pass(0.05)
        message.ack()

    for number in range(20):
        line.publish(b"%d" % number)
    with streaming(line, callback, max_messages=3):
        line.wait_until_settled()
    assert (len(seen.messages), len(set(seen.messages)), seen.most_working) == (20, 20, 3)


def test_two_streams_share_the_messages(line: Line) -> None:
    """None is delivered twice."""
    first, second = Seen(), Seen()

    def working_for(seen: Seen) -> Callable[[Message], None]:
        def callback(message: Message) -> None:
            seen.note(message)
            let_pass(0.01)
            message.ack()

        return callback

    with (
        SubscriberClient() as other,
        streaming(line, working_for(first), max_messages=20),
        streaming(line, working_for(second), other, max_messages=20),
    ):
        numbers = count()
        wait_until(lambda: line.publish(b"%d" % next(numbers)) and first.messages and second.messages, "both are given some")
        for _ in range(300):
            line.publisher.publish(line.topic, b"%d" % next(numbers))
        published = next(numbers)
        wait_until(lambda: line.counts()["acked"] == published, "everything is acked")
    assert len(set(first.messages + second.messages)) == len(first.messages + second.messages) == published


def test_stream_counts_attempts_up_to_the_dead_letter(make_line: MakeLine, line: Line) -> None:
    """The client shows which delivery it is."""
    attempts: list[int | None] = []

    def callback(message: Message) -> None:
        attempts.append(message.delivery_attempt)
        message.nack()

    poisoned = make_line(dead_letter_policy=DeadLetterPolicy(dead_letter_topic=line.topic, max_delivery_attempts=5))
    with streaming(poisoned, callback):
        poisoned.publish(b"poison")
        assert line.pull()[0].message.data == b"poison"
    assert attempts == [1, 2, 3, 4, 5]


def test_stream_keeps_the_order_of_each_key(make_line: MakeLine, ordered_publisher: PublisherClient) -> None:
    """A message that is given back comes again before the next one of its key."""
    line, order, given_back = make_line(enable_message_ordering=True), defaultdict(list), threading.Event()

    def callback(message: Message) -> None:
        if message.data == b"6" and not given_back.is_set():
            given_back.set()
            message.nack()
            return
        order[message.ordering_key].append(int(message.data))
        message.ack()

    with streaming(line, callback):
        for number in range(60):
            ordered_publisher.publish(line.topic, b"%d" % number, ordering_key=f"k{number % 3}")
        wait_until(lambda: sum(map(len, order.values())) >= 60, "every message came")
    assert order == {f"k{key}": list(range(key, 60, 3)) for key in range(3)}


def test_ack_with_response_tells_that_it_counted(make_line: MakeLine) -> None:
    """Exactly-once delivery answers each acknowledgement."""
    line, answers = make_line(enable_exactly_once_delivery=True), []
    with streaming(line, lambda message: answers.append(message.ack_with_response())):
        line.publish(b"data")
        wait_until(lambda: answers, "the message came")
        assert answers[0].result(timeout=240).name == "SUCCESS"
    assert line.counts()["backlog"] == 0


def test_thousands_of_messages_arrive_once(line: Line) -> None:
    """Enough a second that a daemon's own speed can be measured against it."""
    seen: Counter[str] = Counter()
    number = 5_000

    def callback(message: Message) -> None:
        seen[message.attributes["i"]] += 1
        message.ack()

    published = [line.publisher.publish(line.topic, b"x" * 200, i=str(i)) for i in range(number)]
    for future in published:
        future.result(timeout=240)
    before = line.server.cpu_s() + time.process_time()
    with streaming(line, callback, max_messages=1000):
        wait_until(lambda: line.counts()["acked"] == number, "everything is acked")
    assert line.server.cpu_s() + time.process_time() - before < 20
    assert len(seen) == sum(seen.values()) == number
