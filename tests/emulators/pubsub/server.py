"""The gRPC server around the services: one asyncio thread, so the state needs no lock."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import grpc
from google.protobuf.message import Message

from tests.emulators.pubsub.broker import Broker
from tests.emulators.pubsub.control import Command, Control
from tests.emulators.pubsub.faults import Faults
from tests.emulators.pubsub.method import Method, Service, Streaming, Unary, Waiting
from tests.emulators.pubsub.publisher import Publisher
from tests.emulators.pubsub.rates import Rates
from tests.emulators.pubsub.refusal import RefusedError
from tests.emulators.pubsub.store import Store
from tests.emulators.pubsub.streaming import Streams
from tests.emulators.pubsub.subscriber import Subscriber

_OPTIONS = (("grpc.max_receive_message_length", 64 << 20), ("grpc.so_reuseport", 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How an emulator runs.

    Args:
        host: Where it listens.
        port: 0 takes a free one.
        state: The file that survives it; None forgets everything.
        rates: What goes wrong on purpose.
    """

    host: str = "127.0.0.1"
    port: int = 0
    state: Path | None = None
    rates: Rates = field(default_factory=Rates)


async def serve(settings: Settings, ready: Callable[[str], None]) -> None:
    """Serve until the task is cancelled.

    Args:
        settings: How.
        ready: Told the address once calls are answered.
    """
    store = Store(settings.state)
    server = grpc.aio.server(options=_OPTIONS)
    server.add_generic_rpc_handlers(_handlers(Broker(store, Faults(settings.rates))))
    port = server.add_insecure_port(f"{settings.host}:{settings.port}")
    await server.start()
    ready(f"{settings.host}:{port}")
    try:
        await server.wait_for_termination()
    finally:
        await server.stop(grace=None)
        store.close()


def _handlers(broker: Broker) -> tuple[grpc.GenericRpcHandler, ...]:
    streams = Streams(broker)
    return (
        _Guard(broker, "Publisher").wrap(Publisher(broker).methods()),
        _Guard(broker, "Subscriber").wrap(Subscriber(broker, streams).methods()),
        grpc.method_handlers_generic_handler("emulator.Control", _commands(Control(broker, streams).commands())),
    )


def _commands(commands: Mapping[str, Command]) -> dict[str, grpc.RpcMethodHandler]:
    def handler(command: Command) -> grpc.RpcMethodHandler:
        async def call(request: bytes, _context: Any) -> bytes:  # noqa: ANN401 - grpc has no types and awaits every handler
            return command(request)

        return grpc.unary_unary_rpc_method_handler(call)

    return {name: handler(command) for name, command in commands.items()}


class _Guard:
    """What surrounds every call of a service: outages, the transaction, and how a refusal reaches the caller."""

    def __init__(self, broker: Broker, service: str) -> None:
        self._broker = broker
        self._service = service

    def wrap(self, methods: Service) -> grpc.GenericRpcHandler:
        """Make the service known to gRPC."""
        handlers = {name: self._handler(method) for name, method in methods.items()}
        return grpc.method_handlers_generic_handler(f"google.pubsub.v1.{self._service}", handlers)

    def _handler(self, method: Method) -> grpc.RpcMethodHandler:
        codec = {"request_deserializer": method.request.FromString, "response_serializer": method.response.SerializeToString}
        match method:
            case Unary():
                return grpc.unary_unary_rpc_method_handler(self._at_once(method), **codec)
            case Waiting():
                return grpc.unary_unary_rpc_method_handler(self._with_time(method), **codec)
            case Streaming():
                return grpc.stream_stream_rpc_method_handler(self._on_a_stream(method), **codec)

    def _at_once(self, method: Unary) -> Callable[[Message, Any], Awaitable[Message]]:
        async def call(request: Message, context: Any) -> Message:  # noqa: ANN401 - grpc has no types
            answer = self._answer(method, request)
            return await _abort(context, answer) if isinstance(answer, RefusedError) else answer

        return call

    def _answer(self, method: Unary, request: Message) -> Message | RefusedError:
        """A refusal is a value here: what the call did before, the good half of a list of acks, is to be kept."""
        with self._broker.store.transaction():
            try:
                self._broker.faults.check(self._service, self._broker.now())
                return method.answer(request)
            except RefusedError as refusal:
                return refusal

    def _with_time(self, method: Waiting) -> Callable[[Message, Any], Awaitable[Message]]:
        async def call(request: Message, context: Any) -> Message:  # noqa: ANN401 - grpc has no types
            try:
                return await method.answer(request, context)
            except RefusedError as refusal:
                return await _abort(context, refusal)

        return call

    @staticmethod
    def _on_a_stream(method: Streaming) -> Callable[[Any, Any], Awaitable[None]]:
        async def call(_requests: Any, context: Any) -> None:  # noqa: ANN401 - grpc has no types
            try:
                await method.serve(context)
            except RefusedError as refusal:
                await _abort(context, refusal)

        return call


async def _abort(context: Any, refusal: RefusedError) -> NoReturn:  # noqa: ANN401 - grpc has no types
    await context.abort(refusal.code, refusal.text, refusal.trailing)
    message = "abort raises"
    raise AssertionError(message)


def run(settings: Settings, ready: Callable[[str], None]) -> None:
    """Serve until the process ends."""
    asyncio.run(serve(settings, ready))
