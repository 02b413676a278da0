"""Keeps a stream of messages open, whatever happens to it, and has what arrives recorded before it is acknowledged.

A stream that died may never say so, therefore three things are watched: its end, an answer of the service while it is quiet, and
drops that a listing finds although the stream should have told of them. After any trouble the stream is opened anew, on a new
connection.
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from trainer_daemon.errors import PermanentError, TemporaryError, TrainerError
from trainer_daemon.loop import Loop, Rest
from trainer_daemon.policy.notifications import Message
from trainer_daemon.ports import Delivery, Subscription

Clock = Callable[[], datetime]
BATCH = 500
READY_S = 0.25
"""How often a stream that may not open yet looks whether it may."""
QUIET_S = 30.0
"""A stream that has said nothing for so long is asked about."""
PAUSE_S_MIN, PAUSE_S_MAX = 1.0, 60.0
CLOSE_S = 2.0


class Receiver(Protocol):
    """Where messages go."""

    @property
    def listed(self) -> bool:
        """Whether messages may be received yet."""

    def began(self) -> None:
        """They will be from now on."""

    def receive(self, messages: Sequence[Message]) -> None:
        """Write down what they say; when it returns, they may be acknowledged."""


class Subscriber:
    """A thread that records what arrives and minds the stream.

    Args:
        subscription: Where messages come from.
        inbox: Where they go.
        clock: Now, in UTC.
        log: Bound to the subscription.
        quiet_s: See `QUIET_S`.
    """

    def __init__(
        self,
        subscription: Subscription,
        inbox: Receiver,
        *,
        clock: Clock,
        log: FilteringBoundLogger,
        quiet_s: float = QUIET_S,
    ) -> None:
        self._subscription = subscription
        self._inbox = inbox
        self._clock = clock
        self._log = log
        self._quiet_s = quiet_s
        self._held: Sequence[Delivery] = ()
        self._open = False
        self._alive_at: datetime | None = None
        self._suspicion = ""
        self._failures = 0
        self._look_at = 0.0
        self._urgent = threading.Event()
        self._loop = Loop("subscribe", self._work, log)

    def start(self) -> None:
        """Begin; the stream opens as soon as it may."""
        self._loop.start()

    def close(self) -> None:
        """Record what waits, and end."""
        self._loop.stop()
        if self._loop.join(CLOSE_S):
            with suppress(TrainerError):  # what was not acknowledged is delivered again
                self._record()
        self._subscription.close()

    def suspect(self, missed_at: datetime) -> None:
        """A drop of that time was found by a listing only: unless the stream has lived since, it is dead without knowing it."""
        if self._open and self._alive_at is not None and self._alive_at < missed_at:
            self._suspicion = f"silent since {self._alive_at.isoformat()}, although a drop came at {missed_at.isoformat()}"
            self._attend()

    def _attend(self) -> None:
        """Look at the stream at once."""
        self._urgent.set()
        self._loop.wake()

    def _work(self) -> Rest:
        if self._record():
            self._alive_at, self._failures = self._clock(), 0
            return Rest(seconds=0.0)
        if self._urgent.is_set() or time.monotonic() >= self._look_at:
            self._urgent.clear()
            self._look_at = time.monotonic() + self._look()
        return Rest(seconds=max(0.0, self._look_at - time.monotonic()), idle=True)

    def _record(self) -> bool:
        """Durable first, then ack; what could not be recorded is held, and its lease extended, until it can."""
        self._held = self._held or self._subscription.take(BATCH)
        if not self._held:
            return False
        self._inbox.receive([delivery.message for delivery in self._held])
        for delivery in self._held:
            delivery.ack()
        self._held = ()
        return True

    def _look(self) -> float:
        """See that the stream is open; returns in how many seconds to look again."""
        try:
            if self._suspicion:
                self._restart()
            if not self._open:
                return self._reopen()
            self._subscription.probe()
        except (TemporaryError, PermanentError) as exc:
            return self._give_up(exc)
        self._failures = 0
        return self._quiet_s

    def _restart(self) -> None:
        reason, self._suspicion = self._suspicion, ""
        self._log.warning("stream_restarted", reason=reason)
        self._open = False
        self._subscription.close()

    def _reopen(self) -> float:
        if not self._inbox.listed:
            return READY_S
        self._subscription.open(on_arrival=self._loop.wake, on_end=self._attend)
        self._open, self._alive_at = True, self._clock()
        self._inbox.began()
        self._log.info("stream_opened")
        return self._quiet_s

    def _give_up(self, error: TrainerError) -> float:
        """Say what is wrong, and try again on a new connection after a growing pause."""
        self._open = False
        self._subscription.close()
        self._failures += 1
        longest_s: float = min(PAUSE_S_MIN * 2 ** min(self._failures - 1, 10), PAUSE_S_MAX)
        pause_s: float = longest_s * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret
        told = {"reason": str(error), "retry_in_s": round(pause_s, 1), "failures": self._failures}
        if isinstance(error, PermanentError):
            self._log.error("stream_refused", **told)
        else:
            self._log.warning("stream_interrupted", **told)
        return pause_s
