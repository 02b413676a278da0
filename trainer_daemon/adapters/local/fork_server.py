"""A process that forks one child for each message, and tells whoever sent it how the child ended.

It has no threads, so that nothing is forked in the middle of anything.
"""

import os
import select
import selectors
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

FORKS = sys.platform == "linux"
"""Elsewhere a library may not survive a fork; there runs and, by `kfp.local`, steps are new interpreters."""
_MESSAGE_BYTES_MAX = 64 * 1024
_DESCRIPTORS_MAX = 3
_CODE_OF_NO_ROOM = 1
BEGINS = ""
"""Told before there is a child, so that nobody takes one that cannot tell its end for one that never was."""


def a_channel() -> tuple[socket.socket, socket.socket]:
    """The two ends of what messages go through; Linux only."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def ask_to_fork(channel: socket.socket, message: bytes, *descriptors: int) -> int:
    """Ask for a child.

    Args:
        channel: To the server.
        message: For the child, not empty.
        descriptors: For the child, too, two at most; the caller's own may be closed afterwards.

    Returns:
        Descriptor from which the child's exit code can be read with `read_code`.

    Raises:
        ConnectionError: The server is no more.
        OSError: There can be no further descriptor.
    """
    code, told = os.pipe()
    try:
        socket.send_fds(channel, [message], [*descriptors, told])
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
        Its exit code, the negative number of a signal that ended it, None when the server was gone by then and cannot tell.

    Raises:
        ConnectionError: The server is no more, and there was no child.
    """
    with open(descriptor, encoding="ascii") as told:
        if not told.readline():
            msg = "the server has ended before it forked"
            raise ConnectionResetError(msg)
        code = told.readline()
    return int(code) if code else None


def tell(told: int, code: int | str) -> None:
    """Write an exit code to whoever waits for it with `read_code`; of several the first counts."""
    with suppress(BrokenPipeError):
        os.write(told, f"{code}\n".encode("ascii"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Forked:
    """What a process that was just forked was sent.

    Attributes:
        message: What it is to do.
        descriptors: What came with it.
        told: Where its exit code can be told by itself, before it ends, in case that the server is gone by then.
        channel: To ask the server for children of its own, which end when it ends; None in one of these.
    """

    message: bytes
    descriptors: Sequence[int]
    told: int
    channel: socket.socket | None


class ForkServer:
    """The server's loop.

    Args:
        channel: Of those who ask first. What is forked for them leads: it may ask for children of its own, which end with it, and
            itself goes on when the channel is closed.
        prepare: What is done for a leader: one bit after it was forked, one more after each of its children.
    """

    def __init__(self, channel: socket.socket, prepare: Callable[[bytes], Iterator[None]]) -> None:
        self._first = channel
        self._prepare = prepare
        self._told: dict[int, int] = {}
        self._children: dict[socket.socket, set[int]] = {channel: set()}
        self._preparing: dict[socket.socket, Iterator[None]] = {}
        self._ended, self._wake = os.pipe()
        for descriptor in (self._ended, self._wake):
            os.set_blocking(descriptor, False)
        signal.signal(signal.SIGCHLD, _woken)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        self._events = selectors.DefaultSelector()
        self._events.register(self._ended, selectors.EVENT_READ)
        self._events.register(channel, selectors.EVENT_READ)

    def until_forked(self) -> Forked | None:
        """Serve until nobody can ask any more; returns earlier in each child, which is a process of its own then.

        Returns:
            What the child was sent; None in the server.
        """
        while self._children:
            ready = [key.fileobj for key, _ in self._events.select()]
            if self._ended in ready:
                os.read(self._ended, 1024)
                self._tell_ends()
            for channel in self._children.keys() & ready:
                if (forked := self._serve(channel)) is not None:
                    return forked
        return None

    def _serve(self, channel: socket.socket) -> Forked | None:
        message, descriptors, _, _ = socket.recv_fds(channel, _MESSAGE_BYTES_MAX, _DESCRIPTORS_MAX)
        if not message or (channel is not self._first and _is_closed(channel)):  # what the dead have asked for, nobody waits for
            _close(descriptors)
            self._forget(channel)
            return None
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)  # noqa: FBT003 - not for what a child starts
        *given, told = descriptors
        own = None
        leader = channel
        if channel is self._first:
            leader, own = a_channel()
            self._children[leader] = set()
            self._preparing[leader] = self._prepare(message)
            self._events.register(leader, selectors.EVENT_READ)
        if self._fork(channel, told):
            return Forked(message=message, descriptors=given, told=told, channel=own)
        _close(given)
        if own is not None:
            own.close()
        next(self._preparing[leader], None)
        return None

    def _fork(self, channel: socket.socket, told: int) -> bool:
        """Whether this is the child."""
        tell(told, BEGINS)
        try:
            pid = os.fork()
        except OSError:  # no room for a further process; those that there are go on
            tell(told, _CODE_OF_NO_ROOM)
            os.close(told)
            return False
        if pid:
            self._told[pid] = told
            self._children[channel].add(pid)
            return False
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._events.close()
        _close([self._ended, self._wake, *self._told.values()])
        for other in self._children:
            other.close()
        return True

    def _forget(self, channel: socket.socket) -> None:
        """Nobody asks through it any more."""
        self._events.unregister(channel)
        channel.close()
        self._preparing.pop(channel, None)
        children = self._children.pop(channel)
        if channel is not self._first:
            for pid in children:  # not waited for yet, so that the id cannot be another's
                os.kill(pid, signal.SIGKILL)

    def _tell_ends(self) -> None:
        for pid, told in tuple(self._told.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self._told[pid]
                for children in self._children.values():
                    children.discard(pid)
                tell(told, os.waitstatus_to_exitcode(status))
                os.close(told)


def _is_closed(channel: socket.socket) -> bool:
    """Whether the other end is; messages may still be there."""
    poll = select.poll()
    poll.register(channel, 0)  # a hang-up is told without being asked for
    return bool(poll.poll(0))


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _woken(_number: int, _frame: object) -> None:
    """A child ended: the wake-up descriptor says so; without a handler nobody would write to it."""
