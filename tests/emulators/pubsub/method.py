"""What a service consists of: methods by name, each with the messages it reads and writes."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Unary:
    """One request, one response, answered at once."""

    request: type[Message]
    response: type[Message]
    answer: Callable[[Message], Message]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One request, one response, which may take its time; `answer` gets the call's context too."""

    request: type[Message]
    response: type[Message]
    answer: Callable[[Message, Any], Awaitable[Message]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Streaming:
    """Requests and responses until one side ends; `serve` gets the call's context, which reads and writes them."""

    request: type[Message]
    response: type[Message]
    serve: Callable[[Any], Awaitable[None]]


Method = Unary | Waiting | Streaming
Service = Mapping[str, Method]
