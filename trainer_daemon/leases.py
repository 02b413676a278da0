"""Which models this daemon may act for: takes, renews and gives back leases, and stops in time when it cannot renew them.

A lease is held by one life of one daemon; the ledger keeps it (`adapters/ledger/leasing.py`), `policy/leases.py` says how long.

    keep    ──▶ ledger: renew what is held, take what is free ──▶ deadlines, wake the model
    expire  ──▶ no I/O: give up what was not renewed in time
    begin   ──▶ a round of the reconciler pins the lease it works under; without one it rests
    confirm ──▶ immediately before a side effect: not past the deadline, and the ledger renews this very lease

Every write of the round names the pinned lease in its own transaction (`Ledger.fenced`), so what was decided under a lease that
somebody else has taken since is refused, however long this process was stopped in between. A side effect cannot be refused that
way: one that was begun before the deadline may take effect after it, if its own call lasts so long.

A lock beside the file of a ledger on SQLite keeps other daemons away (`singleton.py`), so there a lease of anybody else is a dead
one's: it is taken at once, and lasts as long as the process.
"""

import math
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.errors import LeaseLostError, TemporaryError
from trainer_daemon.loop import Loop, Rest
from trainer_daemon.policy.leases import LEASE_S, LOOK_S, RENEW_S, Lease, deadline
from trainer_daemon.telemetry.vitals import Pulse

Monotonic = Callable[[], float]
OnChange = Callable[[str, bool], None]
"""Told the model, and whether its lease is held from now on."""

CLOSE_S = 1.0


def new_holder() -> str:
    """A name for this life of this process, of which people recognise the machine, or the pod."""
    return f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"


@dataclass(slots=True)
class _Held:
    lease: Lease
    until: float


class Leases:
    """The leases of one daemon; threads share it.

    Args:
        ledger: Keeps them.
        models: For which one is wanted.
        holder: See `new_holder`.
        log: For changes of hands.
        alone: Nobody else can use the ledger; see the module.
        on_change: Called after every change, on the thread that found it.
        monotonic: Seconds that only ever grow, as the machine counts them.
    """

    def __init__(
        self,
        ledger: Ledger,
        models: Sequence[str],
        *,
        holder: str,
        log: FilteringBoundLogger,
        alone: bool = False,
        on_change: OnChange = lambda _model, _held: None,
        monotonic: Monotonic = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._models = tuple(models)
        self._holder = holder
        self._log = log
        self.alone = alone
        self._on_change = on_change
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._held: dict[str, _Held] = {}

    def tenure(self, model: str) -> "Tenure":
        """How one model's loop uses its lease."""
        return Tenure(self, model)

    def current(self, model: str) -> Lease | None:
        """The lease that this daemon may act under at this moment."""
        with self._lock:
            held = self._held.get(model)
            return held.lease if held is not None and self._monotonic() < held.until else None

    @property
    def complete(self) -> bool:
        """Whether every lease is held."""
        return all(self.current(model) is not None for model in self._models)

    def keep(self) -> None:
        """Renew what is held, take what is free.

        Raises:
            TemporaryError: The ledger cannot be reached; what is held lasts until its deadline.
        """
        held = self._leases()
        if held and not self.alone:
            self._renew(list(held.values()))
        missing = [model for model in self._models if model not in self._leases()]
        if missing:
            asked_at = self._monotonic()
            taken = self._ledger.take_leases(self._holder, missing, lease_s=LEASE_S, from_others=self.alone)
            for lease in taken:
                self._acquired(lease, asked_at)

    def expire(self) -> float:
        """Give up what was not renewed in time.

        Returns:
            Seconds until this has to be done again at the earliest.
        """
        now = self._monotonic()
        with self._lock:
            late = [held.lease for held in self._held.values() if held.until <= now]
            first = min((held.until for held in self._held.values() if held.until > now), default=math.inf)
        for lease in late:
            self._lost(lease, f"the ledger has not renewed it, which it would have to within {LEASE_S:.0f} s")
        return first - now

    def confirm(self, lease: Lease) -> None:
        """Return if the daemon may act under this lease now, and for a while.

        Raises:
            LeaseLostError: It may not.
            TemporaryError: The ledger cannot be asked.
        """
        if self.current(lease.model) == lease and not self.alone:  # then nobody can have taken it
            self._renew([lease])
        if self.current(lease.model) != lease:
            msg = f"the lease of model {lease.model} is held no longer"
            raise LeaseLostError(msg)

    def release(self) -> None:
        """Give all back, so that somebody else need not wait; what cannot be given back expires."""
        with self._lock:
            held = [held.lease for held in self._held.values()]
            self._held.clear()
        if not held:
            return
        with suppress(TemporaryError):
            self._ledger.release_leases(held)
            for lease in held:
                self._changed("lease_released", lease, is_held=False)

    def _leases(self) -> Mapping[str, Lease]:
        with self._lock:
            return {model: held.lease for model, held in self._held.items()}

    def _renew(self, held: Sequence[Lease]) -> None:
        asked_at = self._monotonic()
        kept = self._ledger.renew_leases(held, lease_s=LEASE_S)
        for lease in held:
            if lease in kept:
                self._extend(lease, asked_at)
            else:
                self._lost(lease, "another daemon has taken it, or an operator has")

    def _extend(self, lease: Lease, asked_at: float) -> None:
        """Never what was given up meanwhile, nor to a moment that is over: an answer may be long in coming."""
        with self._lock:
            held = self._held.get(lease.model)
            if held is not None and held.lease == lease and not self.alone:
                held.until = max(held.until, deadline(asked_at=asked_at))

    def _acquired(self, lease: Lease, asked_at: float) -> None:
        with self._lock:
            self._held[lease.model] = _Held(lease, math.inf if self.alone else deadline(asked_at=asked_at))
        self._changed("lease_acquired", lease, is_held=True)

    def _lost(self, lease: Lease, reason: str) -> None:
        with self._lock:
            held = self._held.get(lease.model)
            if held is None or held.lease != lease:
                return
            del self._held[lease.model]
        self._log.warning("lease_lost", model=lease.model, holder=lease.holder, fence=lease.token, reason=reason)
        self._on_change(lease.model, False)  # noqa: FBT003 - a gauge's value

    def _changed(self, event: str, lease: Lease, *, is_held: bool) -> None:
        """Said aloud only where somebody else may be meant."""
        say = self._log.debug if self.alone else self._log.info
        say(event, model=lease.model, holder=lease.holder, fence=lease.token)
        self._on_change(lease.model, is_held)


class Tenure:
    """One model's lease, as its loop and its side effects see it; used by one thread.

    It is also the `Fence` of the ledger that the loop writes to.
    """

    def __init__(self, leases: Leases, model: str) -> None:
        self._leases = leases
        self._model = model
        self._pinned: Lease | None = None

    def begin(self) -> bool:
        """A round begins: whatever it decides counts under the lease that is held now. Whether there is one."""
        self._pinned = self._leases.current(self._model)
        return self._pinned is not None

    @property
    def lease(self) -> Lease:
        """The one that the round was begun with; raises LeaseLostError when it was begun without."""
        if self._pinned is None:
            msg = f"the lease of model {self._model} is not held"
            raise LeaseLostError(msg)
        return self._pinned

    def confirm(self) -> None:
        """Return if a side effect may begin now; otherwise raises as `Leases.confirm` does."""
        self._leases.confirm(self.lease)


class LeaseKeeper:
    """Two threads: one asks the ledger, the other nobody, so that it is never late; where nobody else can be, only the first.

    Args:
        leases: What they keep.
        log: For what goes wrong.
        pulse: Of the first.
    """

    def __init__(self, leases: Leases, *, log: FilteringBoundLogger, pulse: Pulse | None = None) -> None:
        self._leases = leases
        keep = Loop("lease", self._keep, log, pulse)
        self._loops = (keep,) if leases.alone else (keep, Loop("lease deadline", self._expire, log))

    @property
    def alive(self) -> bool:
        """Whether both threads run."""
        return all(loop.alive for loop in self._loops)

    def start(self) -> None:
        """Begin to take leases."""
        for loop in self._loops:
            loop.start()

    def close(self, *, release: bool) -> None:
        """End.

        Args:
            release: Nothing is under way any more, so that somebody else may begin at once.
        """
        for loop in self._loops:
            loop.stop()
        stopped = [loop.join(CLOSE_S) for loop in self._loops]
        if release and all(stopped):
            self._leases.release()

    def _keep(self) -> Rest:
        """An unreachable ledger is asked again at once, not ever more rarely: others wait for their turn, too."""
        try:
            self._leases.keep()
        except TemporaryError:
            return Rest(seconds=LOOK_S)
        if not self._leases.complete:
            return Rest(seconds=LOOK_S, idle=True)
        return Rest(seconds=None if self._leases.alone else RENEW_S, idle=True)

    def _expire(self) -> Rest:
        return Rest(seconds=min(self._leases.expire(), LOOK_S), idle=True)
