"""One look at all open runs, shared by every model: who asks in between is answered from it.

How often is decided here: two seconds, or what is configured, after a run or one of its tasks changed, then ever more rarely up
to half a minute. A look is one list call per page of open runs; a run that was open and is not listed any more has ended, and is
asked for by its name. So nothing is ever said to have vanished because a list left it out.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from trainer_daemon.errors import TemporaryError
from trainer_daemon.remote.runs import RemoteRun

LOOK_S_MIN, LOOK_S_MAX, LOOK_GROWTH = 2.0, 30.0, 1.5
_BROKEN_S = 1.0
"""After a look that failed, whoever was waiting for it shares its error instead of waiting for one of their own."""
_FORGET_S = 600.0
"""A run that nobody has asked for so long is not looked at any more."""


Run = TypeVar("Run", bound=RemoteRun)


class Runs(Protocol[Run]):
    """Where runs are looked up; raises TemporaryError or PermanentError, nothing else."""

    def open_runs(self) -> Sequence[Run]:
        """Every run that is not over."""

    def settle(self, name: str, listed: Sequence[Run]) -> Run | None:
        """The run that counts under a name, None when there is none.

        Args:
            name: Of the runs.
            listed: Those that are open, when the one that counts is among them; otherwise the server is asked.
        """


class Watch(Generic[Run]):
    """What is known of runs, by name.

    Args:
        runs: Where they are looked up.
        on_change: Called with a run's name when a look finds it in another state than the last one.
        look_s: The shortest and the longest time between two looks.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        runs: Runs[Run],
        *,
        on_change: Callable[[str], None],
        look_s: tuple[float, float] = (LOOK_S_MIN, LOOK_S_MAX),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runs = runs
        self._on_change = on_change
        self._look_s = look_s
        self._clock = clock
        self._lock = threading.Lock()
        self._interval_s = look_s[0]
        self._looked_at: float | None = None
        self._failure: tuple[float, TemporaryError] | None = None
        self._asked_at: dict[str, float] = {}
        self._open: Mapping[str, Sequence[Run]] = {}
        self._known: dict[str, Run | None] = {}

    def see(self, names: Sequence[str]) -> Mapping[str, Run | None]:
        """The run that counts under each name as of the last look, which may be made now; None where there is none.

        Raises:
            TemporaryError: The server does not answer.
            PermanentError: It refuses.
        """
        with self._lock:
            self._asked_at.update(dict.fromkeys(names, self._clock()))
            changed = self._look_or_share() if self.pause_s() <= 0 else ()
            for name in names:
                if name not in self._known:
                    self._known[name] = self._runs.settle(name, self._open.get(name, ()))
            seen = {name: self._known[name] for name in names}
        for name in changed:
            self._on_change(name)
        return seen

    def find(self, name: str) -> Run | None:
        """The run that counts under a name, asked for now."""
        with self._lock:
            self._asked_at[name] = self._clock()
            self._known[name] = run = self._runs.settle(name, ())
            return run

    def note(self, run: Run) -> None:
        """Something was just done to a run: it is looked at soon."""
        with self._lock:
            self._asked_at[run.name] = self._clock()
            self._known[run.name] = run
            self._interval_s = self._look_s[0]

    def pause_s(self) -> float:
        """How long the last look is good for."""
        return 0.0 if self._looked_at is None else max(0.0, self._looked_at + self._interval_s - self._clock())

    def _look_or_share(self) -> Sequence[str]:
        if self._failure is not None and self._clock() - self._failure[0] < _BROKEN_S:
            raise TemporaryError(str(self._failure[1]), retry_after_s=self._failure[1].retry_after_s)
        try:
            changed = self._look()
        except TemporaryError as exc:
            self._failure = (self._clock(), exc)
            raise
        self._failure = None
        return changed

    def _look(self) -> Sequence[str]:
        """Look at everything that was asked for of late; the names of the runs that are in another state than before."""
        now = self._clock()
        self._asked_at = {name: at for name, at in self._asked_at.items() if now - at < _FORGET_S}
        open_runs: dict[str, list[Run]] = defaultdict(list)
        for run in self._runs.open_runs():
            open_runs[run.name].append(run)
        self._open = open_runs
        before, now_known = self._known, {name: self._follow(name, self._known.get(name)) for name in self._asked_at}
        changed = [name for name, run in now_known.items() if name in before and _state(before[name]) != _state(run)]
        self._known = now_known
        moved = changed or any(_progress(before.get(name)) != _progress(run) for name, run in now_known.items())
        self._interval_s = self._look_s[0] if moved else min(self._interval_s * LOOK_GROWTH, self._look_s[1])
        self._looked_at = self._clock()
        return changed

    def _follow(self, name: str, before: Run | None) -> Run | None:
        """A run that was seen is followed by its id: of its name there may be others by now. What was over stays over."""
        listed = self._open.get(name, ())
        if before is None or any(run.id == before.id for run in listed):
            return self._runs.settle(name, listed)
        return before if before.is_over and not listed else self._runs.settle(name, ())


def _progress(run: RemoteRun | None) -> object:
    return run.progress if run else None


def _state(run: RemoteRun | None) -> tuple[str, str] | None:
    return (run.id, run.state) if run else None
