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
from trainer_daemon.telemetry.vitals import Pulse

Clock = Callable[[], datetime]
BATCH = 500
EVERYTHING = 1_000_000
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
        monotonic: Seconds that only ever grow.
        pulse: Is told of every round.
    """

    def __init__(
        self,
        subscription: Subscription,
        inbox: Receiver,
        *,
        clock: Clock,
        log: FilteringBoundLogger,
        quiet_s: float = QUIET_S,
        monotonic: Callable[[], float] = time.monotonic,
        pulse: Pulse | None = None,
    ) -> None:
        self._subscription = subscription
        self._inbox = inbox
        self._clock = clock
        self._log = log
        self._quiet_s = quiet_s
        self._monotonic = monotonic
        self._held: Sequence[Delivery] = ()
        self._open = False
        self._alive_at: datetime | None = None
        self._suspicion = ""
        self._renewed = ""
        self._failures = 0
        self._look_at = 0.0
        self._urgent = threading.Event()
        self._loop = Loop("subscribe", self._work, log, pulse)

    def start(self) -> None:
        """Begin; the stream opens as soon as it may."""
        self._loop.start()

    def close(self) -> None:
        """Record what waits, give back what cannot be recorded, and end."""
        self._loop.stop()
        if not self._loop.join(CLOSE_S):
            return  # it is in the middle of a call; the process ends soon, and leases do, too
        with suppress(TrainerError):  # what was not acknowledged is delivered again
            self._record()
        self._subscription.close(give_back=[*self._held, *self._subscription.take(EVERYTHING)])

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
        more = self._record()
        if self._urgent.is_set() or self._monotonic() >= self._look_at:
            self._urgent.clear()
            self._look_at = self._monotonic() + self._look()
        return Rest(seconds=0.0 if more else max(0.0, self._look_at - self._monotonic()), idle=not more)

    def _record(self) -> bool:
        """Durable first, then ack: whether there was something."""
        self._held = self._held or self._subscription.take(BATCH)
        if not self._held:
            return False
        try:
            self._inbox.receive([delivery.message for delivery in self._held])
        except TrainerError:
            self._hold()
            raise
        held, self._held = self._held, ()
        self._alive_at = self._clock()
        try:
            self._subscription.ack(held)
        except (TemporaryError, PermanentError) as exc:  # they are delivered again, and known then
            self._look_at = self._monotonic() + self._give_up(exc)
        return True

    def _hold(self) -> None:
        """Nothing may be delivered again and again, and end as a dead letter, only because it cannot be recorded now."""
        self._held = [*self._held, *self._subscription.take(EVERYTHING)]
        with suppress(TrainerError):
            self._subscription.hold(self._held)

    def _look(self) -> float:
        """See that the stream is open; returns in how many seconds to look again."""
        try:
            if self._suspicion:
                self._restart()
            if not self._open:
                return self._reopen()
            self._subscription.probe()
        except TemporaryError as exc:
            return self._give_up(exc) if self._failures or self._renewed or not self._open else self._renew(exc)
        except PermanentError as exc:
            return self._give_up(exc)
        self._failures, self._renewed = 0, ""
        return self._quiet_s

    def _reopen(self) -> float:
        if not self._inbox.listed:
            return READY_S
        self._subscription.open(on_arrival=self._loop.wake, on_end=self._attend)
        self._open, self._alive_at = True, self._clock()
        self._inbox.began()
        if self._renewed:
            self._log.debug("stream_opened", reason=self._renewed)
        else:
            self._log.info("stream_opened")
        return self._quiet_s

    def _restart(self) -> None:
        reason, self._suspicion = self._suspicion, ""
        self._log.warning("stream_restarted", reason=reason)
        self._leave()

    def _renew(self, end: TemporaryError) -> float:
        """The service ends every stream now and then: that alone is no trouble, unless it happens again at once."""
        self._renewed = str(end)
        self._leave()
        return 0.0

    def _leave(self) -> None:
        """Close the stream; what has come by it already is recorded next."""
        self._open = False
        self._held = [*self._held, *self._subscription.take(EVERYTHING)]
        self._subscription.close()

    def _give_up(self, error: TrainerError) -> float:
        """Say what is wrong, and try again on a new connection after a growing pause."""
        self._leave()
        self._failures, self._renewed = self._failures + 1, ""
        longest_s: float = min(PAUSE_S_MIN * 2 ** min(self._failures - 1, 10), PAUSE_S_MAX)
        pause_s: float = longest_s * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret
        told = {"reason": str(error), "retry_in_s": round(pause_s, 1), "failures": self._failures}
        if isinstance(error, PermanentError):
            self._log.error("stream_refused", **told)
        else:
            self._log.warning("stream_interrupted", **told)
        return pause_s
