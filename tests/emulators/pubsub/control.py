"""The service `emulator.Control`, for tests: outages begin and end, counts are read. JSON in, JSON out, on the same port."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import grpc

from tests.emulators.pubsub import wire
from tests.emulators.pubsub.broker import Broker
from tests.emulators.pubsub.streaming import Streams

Command = Callable[[bytes], bytes]


class Control:
    """Does what a test asks for; is never refused itself.

    Args:
        broker: The service's state.
        streams: Every open stream.
    """

    def __init__(self, broker: Broker, streams: Streams) -> None:
        self._broker = broker
        self._streams = streams

    def refuse(self, *, code: str, service: str, seconds: float) -> None:
        """Answer every call with a status, open streams too."""
        until = self._broker.now() + seconds
        self._broker.faults.refuse(grpc.StatusCode[code], service=service, until=until)

    def silence(self, *, seconds: float) -> None:
        """Deliver nothing for a time, on streams of now and later."""
        self._broker.faults.silence(self._broker.now() + seconds)

    def mute(self) -> None:
        """Let the streams that are open now fall silent for good; streams that are opened later deliver."""
        self._streams.mute()

    def end(self) -> None:
        """End every outage."""
        self._broker.faults.end()

    def counts(self) -> dict[str, dict[str, int]]:
        """By subscription: published, dropped, duplicated, delivered, expired, acked, backlog."""
        return {name: dict(subscription.entries.counts()) for name, subscription in self._broker.running.items()}

    def refused(self) -> dict[str, int]:
        """By service: calls that an outage has refused so far."""
        return dict(self._broker.faults.refused)

    def acked(self, *, subscription: str) -> list[dict[str, Any]]:
        """The messages of a subscription that were acknowledged, as far as it retains them."""
        return [_described(message, at) for message, at in self._broker.running[subscription].entries.acked()]

    def commands(self) -> Mapping[str, Command]:
        """What a test can ask for."""
        methods: dict[str, Callable[..., Any]] = {
            "Refuse": self.refuse,
            "Silence": self.silence,
            "Mute": self.mute,
            "End": self.end,
            "Counts": self.counts,
            "Refused": self.refused,
            "Acked": self.acked,
        }
        return {name: self._command(method) for name, method in methods.items()}

    def _command(self, method: Callable[..., Any]) -> Command:
        def run(request: bytes) -> bytes:
            answer = method(**json.loads(request))
            self._broker.wake()
            return json.dumps(answer).encode()

        return run


def _described(content: bytes, acked_at: float) -> dict[str, Any]:
    message = wire.PubsubMessage.FromString(content)
    return {"id": message.message_id, "attributes": dict(message.attributes), "data": message.data.decode(), "at": acked_at}
