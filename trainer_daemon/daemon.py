"""The process: per model one loop that lists its bucket and one that reconciles it; wake-ups, idling, and the drain."""

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.courier import Courier
from trainer_daemon.errors import TemporaryError
from trainer_daemon.intake import Intake
from trainer_daemon.leases import LeaseKeeper, Tenure
from trainer_daemon.loop import Loop, Rest
from trainer_daemon.policy.actions import Wait
from trainer_daemon.policy.events import Source
from trainer_daemon.reconciler import Reconciler
from trainer_daemon.telemetry.redaction import redacted
from trainer_daemon.telemetry.vitals import Pulse, Vitals

Clock = Callable[[], datetime]
Stopped = Callable[[float], str]

DRAIN_S, INTERRUPTED_S = 4.0, 2.0
"""How long a stop waits for the actions under way, then for slow calls to be interrupted; ten seconds are promised."""
COURIER_S = 1.0
"""How long deliveries under way may go on, all together, before they are broken off."""
IDLE, STUCK, BROKEN = "idle", "stuck", "broken"
LOOK_S = 1.0
"""How often the ledger is asked whether another process, the command line, wrote something."""
LEDGER_STALE_S = 60.0
"""Asked every second, the ledger has answered since."""
INCOMPLETE_S = 0.25
BACKOFF_LOOK_S = 60.0
"""The longest sleep towards a time of the wall clock, which may be set back just when the sleep begins."""
CHAMPION_S = 3600.0
"""How often the registry is asked who is champion although no run needs it."""


class Watch(Protocol):
    """Rings when a bucket has changed, or when a schedule fires."""

    def start(self) -> None:
        """Begin to watch."""

    def close(self) -> None:
        """End; nothing rings after it."""


class ModelLoop:
    """Reconciles one model until there is nothing to do but wait.

    Args:
        reconciler: The model's.
        tenure: The model's lease; without it nothing is done, and whoever gets it has the loop woken.
        pause_s: How long to wait before an open run is looked at again, given how often in a row nothing had changed.
        clock: Now, in UTC.
        log: The model's.
        pulse: Is told of every round.
    """

    def __init__(
        self,
        reconciler: Reconciler,
        tenure: Tenure,
        *,
        pause_s: Callable[[int], float],
        clock: Clock,
        log: FilteringBoundLogger,
        pulse: Pulse | None = None,
    ) -> None:
        self._reconciler = reconciler
        self._tenure = tenure
        self._pause_s = pause_s
        self._clock = clock
        self._looks = 0
        self._champion_at = time.monotonic()
        self.loop = Loop("reconcile", self._work, log, pulse)

    def _work(self) -> Rest:
        if not self._tenure.begin():
            return Rest(seconds=None)
        if time.monotonic() - self._champion_at > CHAMPION_S:
            self._champion_at = time.monotonic()
            self._reconciler.look_at_champion()
        wait = self._reconciler.step()
        if wait is None:
            self._looks = 0
            return Rest(seconds=0.0)
        return self._rest(wait)

    def _rest(self, wait: Wait) -> Rest:
        if wait.polling:
            self._looks += 1
            return Rest(seconds=self._pause_s(self._looks))
        if wait.until is not None:
            seconds = max(0.0, (wait.until - self._clock()).total_seconds())
            return Rest(seconds=min(seconds, CHAMPION_S if wait.idle else BACKOFF_LOOK_S), idle=wait.idle)
        return Rest(seconds=CHAMPION_S, idle=True)


class BucketLoop:
    """Lists one model's bucket when it is rung and every so often; wakes the model when there is something new."""

    def __init__(
        self,
        intake: Intake,
        *,
        interval_s: float,
        on_recorded: Callable[[], None],
        log: FilteringBoundLogger,
        pulse: Pulse | None = None,
    ) -> None:
        self._intake = intake
        self._interval_s = interval_s
        self._on_recorded = on_recorded
        self._changed = False
        self.loop = Loop("list", self._work, log, pulse)

    def ring(self) -> None:
        """The bucket has changed."""
        self._changed = True
        self.loop.wake()

    def list_soon(self) -> None:
        """A schedule wants the bucket listed; nobody said that it has changed."""
        self.loop.wake()

    def _work(self) -> Rest:
        source, self._changed = (Source.WATCH if self._changed else Source.LISTING), False
        listing = self._intake.list_bucket(source)
        if listing.recorded:
            self._on_recorded()
        if listing.incomplete:
            self._changed = source is Source.WATCH
            return Rest(seconds=INCOMPLETE_S)
        return Rest(seconds=self._interval_s, idle=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What `bootstrap.build` assembles into a daemon.

    Attributes:
        prepare: Slow work that the first run would otherwise wait for; done on a thread of its own.
        leases: Takes, renews and gives back the right to act for the models.
        interrupt: Makes calls under way fail, when a stop cannot wait for them.
        couriers: Deliver notifications; nothing waits for them but a daemon that ends by itself.
        resources: Closes every client, in reverse order of construction.
        vitals: Told how the daemon itself and the ledger are.
    """

    models: Sequence[ModelLoop]
    buckets: Sequence[BucketLoop]
    couriers: Sequence[Courier]
    watches: Sequence[Watch]
    leases: LeaseKeeper
    prepare: Callable[[], None]
    interrupt: Callable[[], None]
    ledger: Ledger
    resources: ExitStack
    vitals: Vitals
    clock: Clock
    log: FilteringBoundLogger


class Daemon:
    """All the loops, from start to drain."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._log = parts.log
        self._pulse = parts.vitals.pulse("main")
        self._ledger_part = parts.vitals.part("ledger", stale_s=LEDGER_STALE_S)
        self._working = [*(bucket.loop for bucket in parts.buckets), *(model.loop for model in parts.models)]
        self._loops = [*self._working, *(courier.loop for courier in parts.couriers)]

    def run(self, stopped: Stopped, *, until_idle: bool = False) -> bool:
        """Work until a signal asks to stop, or until nothing is left to do.

        Args:
            stopped: See `stop_signals`.
            until_idle: End when nothing is left to do.

        Returns:
            False when a run failed for good before all was idle, or when the daemon could not go on; a stop is no failure.
        """
        started_at = self._parts.clock()
        with self._parts.resources:
            self._start()
            reason = self._watch_over(stopped, until_idle=until_idle)
            self._drain(reason)
            failed = self._parts.ledger.failed_since(started_at)
        self._log.info("daemon_stopped", reason=reason, runs_failed=failed)
        return reason not in {STUCK, BROKEN} and not (reason == IDLE and failed)

    def _start(self) -> None:
        self._parts.leases.start()
        for loop in self._loops:
            loop.start()
        threading.Thread(target=self._parts.prepare, name="prepare", daemon=True).start()
        for watch in self._parts.watches:
            watch.start()
        self._ledger_part.answered()  # it was opened just now
        self._parts.vitals.running()
        self._log.info("daemon_started", pid=os.getpid(), models=len(self._parts.models))

    def _watch_over(self, stopped: Stopped, *, until_idle: bool) -> str:
        """Sleep, and look now and then whether another process wrote something that this one has to act on."""
        seen = None
        while not (reason := stopped(LOOK_S if not until_idle else 0.1)):
            self._pulse.beat()
            if not (self._parts.leases.alive and all(loop.alive for loop in self._loops)):
                return BROKEN
            if until_idle and (idle := self._is_idle()):
                return idle
            try:
                change = self._parts.ledger.last_change()
            except TemporaryError as exc:
                self._ledger_part.failed(redacted(str(exc)))
                self._log.warning("reconcile_deferred", reason=str(exc), retry_in_s=LOOK_S)
                continue
            self._ledger_part.answered()
            if change != seen:
                seen = change
                for model in self._parts.models:
                    model.loop.wake()
        return reason

    def _is_idle(self) -> str:
        """Why nothing more will happen by itself, or ''. Who wakes others comes first, and wakes them before its own rest."""
        if not all(loop.idle or loop.stuck for _ in range(2) for loop in self._loops):
            return ""
        return STUCK if any(loop.stuck for loop in self._loops) else IDLE

    def _drain(self, reason: str) -> None:
        self._parts.vitals.draining()
        self._pulse.rest(None)
        self._log.info("daemon_draining", reason=reason)
        for loop in self._loops:
            loop.stop()
        for watch in self._parts.watches:
            watch.close()
        for courier in self._parts.couriers:
            courier.close(COURIER_S / len(self._parts.couriers))
        late = self._join(DRAIN_S)
        if late:
            self._parts.interrupt()
            late = self._join(INTERRUPTED_S)
        if late:
            self._log.warning("drain_timed_out", loops=late)
        self._parts.leases.close(release=not late)

    def _join(self, seconds: float) -> int:
        """Wait for the loops to end; how many have not."""
        deadline = time.monotonic() + seconds
        return sum(not loop.join(max(0.0, deadline - time.monotonic())) for loop in self._working)


@contextmanager
def stop_signals() -> Iterator[Stopped]:
    """Within it, `stopped(timeout_s)` sleeps and returns the name of the signal that asked to stop, or ''."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    wanted = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, lambda *_: None) for number in wanted}
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)

    def stopped(timeout_s: float) -> str:
        if not select.select([reader], [], [], timeout_s)[0]:
            return ""
        return signal.Signals(os.read(reader, 1)[0]).name

    try:
        yield stopped
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)
