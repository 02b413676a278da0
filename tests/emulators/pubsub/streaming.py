"""Streaming pull: delivers on an open stream within its flow control, and reads what the subscriber says meanwhile."""

import asyncio
from contextlib import suppress
from typing import Any

import grpc
from google.protobuf.message import Message

from tests.emulators.pubsub import wire
from tests.emulators.pubsub.broker import Broker
from tests.emulators.pubsub.refusal import RefusedError, invalid
from tests.emulators.pubsub.subscription import Room

_RESPONSE = Room(messages=500, size=4 << 20)
_DEFAULT_LEASE_S = 10
_LOOK_S = 0.25  # outages end by the clock, nobody says so


class Stream:
    """One open stream.

    Args:
        broker: The service's state.
        first: The request that opened it.

    Raises:
        RefusedError: The subscription does not exist, or calls are refused.
    """

    def __init__(self, broker: Broker, first: Message) -> None:
        broker.faults.check("Subscriber", broker.now())
        self._broker = broker
        self._subscription = broker.subscription(first.subscription)
        self._number = broker.next_number()
        self._lease_s = first.stream_ack_deadline_seconds or _DEFAULT_LEASE_S
        self._most_messages, self._most_bytes = first.max_outstanding_messages, first.max_outstanding_bytes
        self._mute = False

    def mute(self) -> None:
        """Deliver nothing from now on, and say nothing about it."""
        self._mute = True

    async def read(self, context: Any) -> None:  # noqa: ANN401 - grpc has no types
        """Take acknowledgements and deadlines until the subscriber ends the stream; nobody is told that one came too late."""
        while (request := await context.read()) is not grpc.aio.EOF:
            self._lease_s = request.stream_ack_deadline_seconds or self._lease_s
            with self._broker.store.transaction(), suppress(RefusedError):
                self._take_in(request)

    async def deliver(self, context: Any) -> None:  # noqa: ANN401 - grpc has no types
        """Send what is there, or wait for it."""
        if response := self._next_response():
            await context.write(response)
            await asyncio.sleep(0)  # acknowledgements get their turn
        else:
            await self._subscription.changed(self._broker.now(), _LOOK_S)

    def wake(self) -> None:
        """End the wait in `deliver`."""
        self._subscription.wake()

    def _take_in(self, request: Message) -> None:
        now = self._broker.now()
        if request.ack_ids:
            self._subscription.acknowledge(request.ack_ids, now)
        if request.modify_deadline_ack_ids:
            self._subscription.modify(request.modify_deadline_ack_ids, request.modify_deadline_seconds, now)

    def _next_response(self) -> Message | None:
        room = self._room()
        received = self._broker.deliver(self._subscription, room, seconds=self._lease_s, stream=self._number)
        if not received:
            return None
        config = self._subscription.config
        properties = wire.StreamingPullResponse.SubscriptionProperties(
            exactly_once_delivery_enabled=config.enable_exactly_once_delivery,
            message_ordering_enabled=config.enable_message_ordering,
        )
        return wire.StreamingPullResponse(received_messages=received, subscription_properties=properties)

    def _room(self) -> Room:
        """What flow control leaves for one response; a limit of 0 is none."""
        if self._mute:
            return Room(messages=0, size=0)
        messages, size = self._subscription.entries.held(self._number)
        return Room(
            messages=_left(self._most_messages, messages, _RESPONSE.messages),
            size=_left(self._most_bytes, size, _RESPONSE.size),
        )


def _left(limit: int, held: int, most: int) -> int:
    return max(min(most, limit - held), 0) if limit else most


class Streams:
    """Every open stream.

    Args:
        broker: The service's state.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._open: set[Stream] = set()

    def mute(self) -> None:
        """Let the streams that are open now fall silent for good."""
        for stream in self._open:
            stream.mute()

    async def serve(self, context: Any) -> None:  # noqa: ANN401 - grpc has no types
        """Serve one stream until either side ends it.

        Raises:
            RefusedError: The subscription does not exist, or calls are refused.
        """
        first = await context.read()
        if first is grpc.aio.EOF:
            text = "The first request must name the subscription."
            raise invalid(text)
        stream = Stream(self._broker, first)
        reader = asyncio.ensure_future(stream.read(context))
        reader.add_done_callback(lambda _: stream.wake())
        self._open.add(stream)
        try:
            while not reader.done():
                await stream.deliver(context)
        finally:
            self._open.discard(stream)
            reader.cancel()
