"""One subscription: which message is delivered when, to whom, how often. Keeps nothing itself, reads no clock."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from tests.emulators.pubsub import wire
from tests.emulators.pubsub.entries import Entries, Entry, Lease
from tests.emulators.pubsub.faults import Faults
from tests.emulators.pubsub.filters import compile_filter
from tests.emulators.pubsub.refusal import RefusedError
from tests.emulators.pubsub.settings import backoff_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How many messages, and how many bytes of them, a receiver can take."""

    messages: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a subscription needs of the broker.

    Args:
        numbers: Gives a number that was never given before.
        forward: Publishes a dead letter; False when the topic is gone.
        retains: Whether acked messages of a topic are kept for a snapshot.
    """

    numbers: Callable[[], int]
    forward: Callable[[Message, Entry], bool]
    retains: Callable[[str], bool]


class Subscription:
    """Delivery by one subscription.

    Args:
        config: The resource.
        entries: Its messages.
        faults: What goes wrong on purpose.
        surroundings: What it needs of the broker.
    """

    def __init__(self, config: Message, *, entries: Entries, faults: Faults, surroundings: Surroundings) -> None:
        self.entries = entries
        self._faults = faults
        self._around = surroundings
        self._changed = asyncio.Event()
        self.configure(config)

    def configure(self, config: Message) -> None:
        """Take over the resource as it is now."""
        self.config = config
        self._passes = compile_filter(config.filter)

    def offer(self, message_id: int, message: Message, now: float) -> None:
        """Keep a published message for delivery, if it passes the filter."""
        if not self._passes(message.attributes):
            return
        arrivals = self._faults.arrivals()
        self.entries.add(message_id, message.ordering_key, message.SerializeToString(), (now + delay for delay in arrivals))
        self.entries.tally("published")
        if len(arrivals) != 1:
            self.entries.tally("duplicated" if arrivals else "dropped")

    def take(self, room: Room, now: float, *, seconds: float, stream: int = 0) -> list[Message]:
        """Lease what fits.

        Args:
            room: What the receiver can take.
            now: The time.
            seconds: How long the leases last.
            stream: Who holds them; 0 for a pull.
        """
        self._give_back_expired(now)
        kept_s = self.config.message_retention_duration.ToTimedelta().total_seconds()
        waiting = self.entries.waiting(now, room.messages, oldest=now - kept_s, ordered=self.config.enable_message_ordering)
        leases = [self._lease(entry, now, seconds=seconds, stream=stream) for entry in _fitting(waiting, room.size)]
        self.entries.lease(leases)
        if leases:
            self.entries.tally("delivered", len(leases))
        return [self._received(lease) for lease in leases]

    def acknowledge(self, ack_ids: Iterable[str], now: float) -> None:
        """Settle messages for good.

        Raises:
            RefusedError: With exactly-once delivery, a lease had ended.
        """
        keep = self.config.retain_acked_messages or self._around.retains(self.config.topic)
        ack_ids = list(ack_ids)
        late = [ack_id for ack_id in ack_ids if not self.entries.settle(ack_id, now, keep=keep)]
        self.entries.tally("acked", len(ack_ids) - len(late))
        self._answer(late)

    def modify(self, ack_ids: Sequence[str], seconds: Sequence[int], now: float) -> None:
        """Extend leases, each by its number of seconds; 0 gives the message back.

        Raises:
            RefusedError: With exactly-once delivery, a lease had ended.
        """
        changes = zip(ack_ids, seconds, strict=True)
        self._answer([ack_id for ack_id, each in changes if not self._modify_one(ack_id, each, now)])

    def wake(self) -> None:
        """Let everybody who waits look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self, now: float, longest_s: float) -> None:
        """Wait until something may have become deliverable, at most so long."""
        due = self.entries.next_due(now)
        wait_s = longest_s if due is None else min(longest_s, due - now)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), wait_s)

    def _lease(self, entry: Entry, now: float, *, seconds: float, stream: int) -> Lease:
        until = now if self._faults.lease_ends_at_once() else now + seconds
        delivered = replace(entry, attempts=entry.attempts + 1)
        return Lease(entry=delivered, number=self._around.numbers(), until=until, stream=stream)

    def _received(self, lease: Lease) -> Message:
        counted = self.config.dead_letter_policy.dead_letter_topic
        attempt = lease.entry.attempts if counted else 0
        message = wire.PubsubMessage.FromString(lease.entry.message)
        return wire.ReceivedMessage(ack_id=lease.ack_id, message=message, delivery_attempt=attempt)

    def _modify_one(self, ack_id: str, seconds: int, now: float) -> bool:
        if seconds:
            return self.entries.extend(ack_id, now, now + seconds)
        entry = self.entries.find(ack_id, now)
        if entry is not None:
            self._give_back(entry, now)
        return entry is not None

    def _give_back(self, entry: Entry, now: float) -> None:
        policy = self.config.dead_letter_policy
        if (
            policy.dead_letter_topic
            and entry.attempts >= policy.max_delivery_attempts
            and self._around.forward(self.config, entry)
        ):
            self.entries.remove(entry)
            return
        self.entries.release(entry, now + backoff_s(self.config, entry.attempts))

    def _give_back_expired(self, now: float) -> None:
        for entry in self.entries.expired(now):
            self._give_back(entry, now)
            self.entries.tally("expired")

    def _answer(self, late: Sequence[str]) -> None:
        """Only subscriptions with exactly-once delivery are told that a lease had ended."""
        self.wake()
        if late and self.config.enable_exactly_once_delivery:
            raise _late(late)


def _fitting(entries: Iterable[Entry], size: int) -> Iterator[Entry]:
    """Entries as long as there is room; the last one may be larger than what was left, or it would never fit."""
    for entry in entries:
        if size <= 0:
            return
        size -= len(entry.message)
        yield entry


def _late(ack_ids: Iterable[str]) -> RefusedError:
    reasons = dict.fromkeys(ack_ids, "PERMANENT_FAILURE_INVALID_ACK_ID")
    detail = Packed()
    detail.Pack(ErrorInfo(reason="INVALID_ACK_IDS", domain="pubsub.googleapis.com", metadata=reasons))
    code = grpc.StatusCode.FAILED_PRECONDITION
    status = Status(code=code.value[0], message="Some acknowledgement ids in the request were invalid.", details=[detail])
    return RefusedError(code, status.message, (("grpc-status-details-bin", status.SerializeToString()),))
