"""A process that forks one child for each message, and tells whoever sent it how the child ended.

It has no threads, so that nothing is forked in the middle of anything.
"""

import os
import selectors
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

FORKS = sys.platform == "linux"
"""Elsewhere a library may not survive a fork; there runs and, by `kfp.local`, steps are new interpreters."""
_MESSAGE_BYTES_MAX = 64 * 1024
_CODE_BYTES_MAX = 16
_CODE_OF_NO_ROOM = 1


def a_channel() -> tuple[socket.socket, socket.socket]:
    """The two ends of what messages go through; Linux only."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def ask_to_fork(channel: socket.socket, message: bytes, descriptor: int) -> int:
    """Ask for a child.

    Args:
        channel: To the server.
        message: For the child, not empty.
        descriptor: For the child, too; the caller's own may be closed afterwards.

    Returns:
        Descriptor from which the child's exit code can be read with `read_code`.

    Raises:
        OSError: The server is no more.
    """
    code, told = os.pipe()
    try:
        socket.send_fds(channel, [message], [descriptor, told])
    except OSError:
        os.close(code)
        raise
    finally:
        os.close(told)
    return code


def read_code(descriptor: int) -> int | None:
    """Wait until a child has ended.

    Args:
        descriptor: From `ask_to_fork`; is closed.

    Returns:
        Its exit code, the negative number of a signal that ended it, None if the server died before it could tell.
    """
    with open(descriptor, encoding="ascii") as told:
        code = told.read(_CODE_BYTES_MAX)
    return int(code) if code else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forked:
    """What a process that was just forked was sent."""

    message: bytes
    descriptor: int


class ForkServer:
    """The server's loop.

    Args:
        channel: From those who ask; nobody asks any more when it is closed.
    """

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._told: dict[int, int] = {}
        self._ended, self._wake = os.pipe()
        for descriptor in (self._ended, self._wake):
            os.set_blocking(descriptor, False)
        signal.signal(signal.SIGCHLD, _woken)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)

    @property
    def children(self) -> Sequence[int]:
        """Process ids of those that have not ended; they cannot be another's, since nobody else waits for them."""
        return tuple(self._told)

    def until_forked(self, prepare: Callable[[bytes], None]) -> Forked | None:
        """Serve until nobody asks any more; returns earlier in each child, which is a process of its own then.

        Args:
            prepare: Called with a message before the fork.

        Returns:
            What the child was sent; None in the server.
        """
        with selectors.DefaultSelector() as events:
            events.register(self._channel, selectors.EVENT_READ)
            events.register(self._ended, selectors.EVENT_READ)
            while True:
                ready = {key.fd for key, _ in events.select()}
                if self._ended in ready:
                    os.read(self._ended, 1024)
                    self.tell_ends()
                if self._channel.fileno() in ready:
                    message, descriptors, _, _ = socket.recv_fds(self._channel, _MESSAGE_BYTES_MAX, 2)
                    if not message:
                        return None
                    for descriptor in descriptors:
                        os.set_inheritable(descriptor, False)  # noqa: FBT003 - not for what a child starts
                    prepare(message)
                    if self._is_child(*descriptors):
                        return Forked(message=message, descriptor=descriptors[0])

    def _is_child(self, given: int, told: int) -> bool:
        try:
            pid = os.fork()
        except OSError:  # no room for a further process; those that there are go on
            os.close(given)
            _tell(told, _CODE_OF_NO_ROOM)
            return False
        if pid:
            os.close(given)
            self._told[pid] = told
            return False
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for descriptor in (told, self._ended, self._wake, *self._told.values()):
            os.close(descriptor)
        self._channel.close()
        return True

    def tell_ends(self) -> None:
        """Tell who has ended meanwhile; for whoever keeps the server busy for long."""
        for pid, told in tuple(self._told.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self._told[pid]
                _tell(told, os.waitstatus_to_exitcode(status))


def _tell(told: int, code: int) -> None:
    with suppress(BrokenPipeError):
        os.write(told, str(code).encode("ascii"))
    os.close(told)


def _woken(_number: int, _frame: object) -> None:
    """A child ended: the wake-up descriptor says so; without a handler nobody would write to it."""
