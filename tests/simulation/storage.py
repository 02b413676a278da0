"""The bucket and its notifications: objects with generations, a topic, and the subscription as its client sees it."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tests.simulation.choices import MONTHS
from trainer_daemon.errors import TemporaryError
from trainer_daemon.policy.events import DatasetVersion, drop_event_id
from trainer_daemon.policy.notifications import Message
from trainer_daemon.policy.objects import place_of
from trainer_daemon.ports import Delivery, Found, Known, Listed

MODEL = "churn"
TEMPLATE = "churn_data_{period}.csv"
PLACE = place_of("gs://drops/in", TEMPLATE)
PAGE = 2
BAD = 4
"""Every so-manyth content can never be trained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One generation of one object."""

    drop: DatasetVersion
    content: int
    created_at: datetime

    @property
    def is_bad(self) -> bool:
        """Whether training on it can only fail."""
        return self.content % BAD == BAD - 1

    @property
    def event_id(self) -> str:
        """The id of the event that it exists."""
        return drop_event_id(MODEL, self.drop)


@dataclass
class Storage:
    """Objects by URI; every upload is a new generation, and the one before is gone."""

    objects: dict[str, Stored] = field(default_factory=dict)
    uploads: list[Stored] = field(default_factory=list)

    def upload(self, month: int, content: int, now: datetime) -> Stored:
        """Put an object there."""
        period = MONTHS[month % len(MONTHS)]
        drop = DatasetVersion(
            uri=f"gs://drops/in/{TEMPLATE.format(period=period.replace('-', '_'))}",
            generation=str(len(self.uploads) + 1),
            checksum=f"crc32c:{content:06d}==:{content + 1}",
            period=period,
            size_bytes=content + 1,
        )
        stored = Stored(drop=drop, content=content, created_at=now)
        self.objects[drop.uri] = stored
        self.uploads.append(stored)
        return stored

    def page(self, number: int) -> list[Stored]:
        """Some of the objects as they are now, by name."""
        names = sorted(self.objects)[number * PAGE : (number + 1) * PAGE]
        return [self.objects[name] for name in names]


class SimulatedBucket:
    """The bucket as the intake sees it; each page is a call of its own."""

    def __init__(self, storage: Storage, call: Callable[[Callable[[], list[Stored]]], list[Stored]]) -> None:
        self._storage, self._call = storage, call

    def list_drops(self, known: Known) -> Iterator[Sequence[Listed]]:
        """See `Bucket`."""
        number = 0
        while page := self._call(lambda number=number: self._storage.page(number)):  # type: ignore[misc] # a default is no argument
            number += 1
            signatures = known([stored.drop.uri for stored in page])
            yield [_found(stored) for stored in page if signatures.get(stored.drop.uri) != stored.drop.generation]


def _found(stored: Stored) -> Found:
    generation = stored.drop.generation
    return Found(drop=stored.drop, signature=generation, modified_at=stored.created_at, order=int(generation))


def notification(stored: Stored, number: int) -> Message:
    """What the storage service publishes of an upload."""
    drop = stored.drop
    bucket, _, name = drop.uri.removeprefix("gs://").partition("/")
    resource = {
        "name": name,
        "generation": drop.generation,
        "crc32c": drop.checksum.split(":")[1],
        "size": str(drop.size_bytes),
        "timeCreated": stored.created_at.isoformat(),
    }
    attributes = {
        "eventType": "OBJECT_FINALIZE",
        "bucketId": bucket,
        "objectId": name,
        "objectGeneration": drop.generation,
        "payloadFormat": "JSON_API_V1",
    }
    return Message(id=str(number), attributes=attributes, data=json.dumps(resource).encode(), published_at=stored.created_at)


@dataclass
class Stream:
    """One open stream of the subscription."""

    on_end: Callable[[], None]
    buffer: list[Message] = field(default_factory=list)
    ended: bool = False
    silent: bool = False


@dataclass
class Mail:
    """The subscription on the service's side.

    Attributes:
        waiting: Published, delivered to nobody.
        leased: Delivered, not acknowledged.
        on_ack: Told of every message before it is acknowledged.
        listeners: How many daemons there are.
        heard_since: When somebody first asked an open stream for what had come, and all of them had one.
    """

    on_ack: Callable[[Message], None]
    clock: Callable[[], datetime]
    listeners: int = 1
    heard_since: datetime | None = None
    waiting: list[Message] = field(default_factory=list)
    leased: dict[str, Message] = field(default_factory=dict)
    acked: list[Message] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)
    published: int = 0

    def publish(self, stored: Stored) -> None:
        """Tell of an upload."""
        self.published += 1
        self.waiting.append(notification(stored, self.published))

    def deliver(self, which: int) -> None:
        """Hand one of the messages that wait to a stream, if one is listening."""
        listening = [stream for stream in self.streams if not (stream.ended or stream.silent)]
        if self.waiting and listening:
            message = self.waiting.pop(which % len(self.waiting))
            self.leased[message.id] = message
            listening[which % len(listening)].buffer.append(message)

    def expire(self) -> None:
        """Whatever was delivered and not acknowledged waits again."""
        self.waiting += self.leased.values()
        self.leased.clear()

    def redeliver(self, which: int) -> None:
        """At least once means that an acknowledgement may be forgotten."""
        if self.acked:
            self.waiting.append(self.acked[which % len(self.acked)])

    def ack(self, message: Message) -> None:
        """It need not come again."""
        self.on_ack(message)
        self.acked.append(message)
        self.leased.pop(message.id, None)
        self.waiting = [waiting for waiting in self.waiting if waiting.id != message.id]


class SimulatedSubscription:
    """The subscription as one daemon's subscriber sees it."""

    def __init__(self, mail: Mail) -> None:
        self._mail = mail
        self.stream: Stream | None = None

    def open(self, *, on_arrival: Callable[[], None], on_end: Callable[[], None]) -> None:
        """Listen."""
        del on_arrival  # the scheduler decides who looks when
        self.stream = Stream(on_end=on_end)
        self._mail.streams.append(self.stream)

    def probe(self) -> None:
        """A stream that went silent passes: only its silence tells."""
        if self.stream is None or self.stream.ended:
            message = "the stream has ended"
            raise TemporaryError(message)

    def take(self, limit: int) -> list[Delivery]:
        """What has been delivered."""
        if self.stream is None:
            return []
        if len(self._mail.streams) >= self._mail.listeners:
            self._mail.heard_since = self._mail.heard_since or self._mail.clock()
        taken, self.stream.buffer = self.stream.buffer[:limit], self.stream.buffer[limit:]
        return [Delivery(message=message, receipt=message.id) for message in taken]

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """They need not come again."""
        for delivery in deliveries:
            self._mail.ack(delivery.message)

    def hold(self, deliveries: Sequence[Delivery]) -> None:
        """Their leases are as long as the scheduler wants them to be anyway."""

    def close(self, give_back: Sequence[Delivery] = ()) -> None:
        """Listen no longer."""
        del give_back
        if self.stream is not None:
            self.stream.ended = True
            self._mail.streams.remove(self.stream)
            self.stream = None
