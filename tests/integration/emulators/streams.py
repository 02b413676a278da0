"""Receiving on a stream with the real client, and what the callbacks saw."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from google.cloud.pubsub_v1 import SubscriberClient
from google.cloud.pubsub_v1.subscriber.message import Message
from google.cloud.pubsub_v1.types import FlowControl

from tests.integration.emulators.lines import Line

Callback = Callable[[Message], None]


@dataclass
class Seen:
    """What the callbacks of a test saw, from any thread."""

    messages: list[bytes] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    working: int = 0
    most_working: int = 0

    def note(self, message: Message) -> int:
        """Remember a delivery; returns how often this message has come."""
        with self.lock:
            self.messages.append(message.data)
            return self.messages.count(message.data)

    def ack(self, message: Message) -> None:
        """Remember a delivery and acknowledge it."""
        self.note(message)
        message.ack()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Count how many work at once."""
        with self.lock:
            self.working += 1
            self.most_working = max(self.most_working, self.working)
        yield
        with self.lock:
            self.working -= 1


@contextmanager
def streaming(
    line: Line, callback: Callable[[Message], None], client: SubscriberClient | None = None, **limits: int
) -> Iterator[None]:
    """Receive on a stream."""
    stream = (client or line.subscriber).subscribe(line.subscription, callback, flow_control=FlowControl(**limits))
    yield
    stream.cancel()
    stream.result(timeout=240)
