"""Servers that tests have one after the other: a start costs a second of CPU, forgetting everything almost nothing."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from tests.emulators.executing_server import ExecutingServer

Server = TypeVar("Server", bound=ExecutingServer)


class Pool(Generic[Server]):
    """Servers that run and know nothing, by what they were made with."""

    def __init__(self) -> None:
        self._idle: dict[Hashable, list[Server]] = {}

    @contextmanager
    def lent(self, kind: Hashable, make: Callable[[], Server]) -> Iterator[Server]:
        """A server of one test; what a test did that may last longer than the test, ends with the server.

        Args:
            kind: Which of them will do.
            make: Makes one when none will.
        """
        idle = self._idle.setdefault(kind, [])
        if not idle:
            server = make()
            server.start()
        else:
            server = idle.pop()
        try:
            yield server
            if server.is_reusable:
                server.clear()
                idle.append(server)
        finally:
            if server not in idle:
                server.stop()

    def close(self) -> None:
        """End them all."""
        for servers in self._idle.values():
            for server in servers:
                server.stop()
