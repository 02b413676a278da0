"""A topic with one subscription, spoken to by the real clients."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any

from google.api_core.exceptions import DeadlineExceeded
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.types import ReceivedMessage

from tests.acceptance.harness import PATIENCE_S, wait_until
from tests.emulators.pubsub_server import PubSubServer

PROJECT = "demo-project"


def a_name(kind: str) -> str:
    """A resource name that nobody has."""
    return f"projects/{PROJECT}/{kind}/t-{uuid.uuid4().hex}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One topic, one subscription."""

    publisher: PublisherClient
    subscriber: SubscriberClient
    server: PubSubServer
    topic: str
    subscription: str

    def publish(self, data: bytes, **attributes: str) -> str:
        """Publish a message; returns its identifier."""
        # a client whose service was away comes back with pauses of its own
        identifier: str = self.publisher.publish(self.topic, data, **attributes).result(timeout=100)
        return identifier

    def pull(self, number: int = 1, within_s: float = PATIENCE_S) -> list[ReceivedMessage]:
        """Lease so many messages."""
        got: list[ReceivedMessage] = []  # each call is patient: what is answered to nobody is leased all the same

        def enough() -> bool:
            got.extend(self._pull(number - len(got)))
            return len(got) >= number

        wait_until(enough, f"{number} messages arrive", within_s)
        return got

    def is_empty(self, for_s: float = 0.5) -> bool:
        """Whether nothing can be delivered for a while."""
        return not self._pull(1, for_s)

    def ack(self, messages: Sequence[ReceivedMessage]) -> None:
        """Acknowledge."""
        self.subscriber.acknowledge(subscription=self.subscription, ack_ids=[message.ack_id for message in messages])

    def hold(self, messages: Sequence[ReceivedMessage], seconds: int) -> None:
        """Let the leases end in so many seconds; 0 gives the messages back."""
        ids = [message.ack_id for message in messages]
        self.subscriber.modify_ack_deadline(subscription=self.subscription, ack_ids=ids, ack_deadline_seconds=seconds)

    def counts(self) -> dict[str, int]:
        """What happened on the subscription."""
        return self.server.counts(self.subscription)

    def wait_until_settled(self) -> None:
        """Wait until everything is acknowledged."""
        wait_until(lambda: self.counts()["backlog"] == 0, "everything is acknowledged")

    def _pull(self, number: int, wait_s: float = PATIENCE_S) -> list[ReceivedMessage]:
        try:
            answer = self.subscriber.pull(subscription=self.subscription, max_messages=number, timeout=wait_s, retry=None)
        except DeadlineExceeded:
            return []
        return list(answer.received_messages)


def open_line(publisher: PublisherClient, subscriber: SubscriberClient, server: PubSubServer, **options: Any) -> Line:  # noqa: ANN401 - any field
    """Create a subscription, and its topic unless one is named; options are fields of the subscription.

    Leases last until the end of a test on any machine, unless it says otherwise.
    """
    topic = options.pop("topic", "")
    if not topic:
        topic = publisher.create_topic(name=a_name("topics")).name
    subscription = a_name("subscriptions")
    subscriber.create_subscription(request={"name": subscription, "topic": topic, "ack_deadline_seconds": 600, **options})
    return Line(publisher=publisher, subscriber=subscriber, server=server, topic=topic, subscription=subscription)


def let_pass(seconds: float) -> None:
    """Let time pass: what is tested is that nothing happens meanwhile."""
    Event().wait(seconds)
