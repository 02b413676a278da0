"""What runs under way are at, as the last look at them saw it; kept in memory for whoever shows it, and decides nothing."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from trainer_daemon.policy.observations import Observation, Phase

RUNS_MAX = 100
"""More are not remembered: a run that nobody looks at any more never says that it has ended."""
_UNDER_WAY = frozenset({Phase.PENDING, Phase.RUNNING})


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRun:
    """What one run is at.

    Attributes:
        step: Empty when the orchestrator does not say.
        seconds: Since a look first found it there.
    """

    phase: Phase
    step: str
    seconds: float


class LiveRuns:
    """The runs under way, by name; written by the loops that look at them, read by any thread.

    Args:
        monotonic: Seconds that only ever grow.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[Observation, float]] = {}

    def note(self, seen: Observation) -> None:
        """A run was looked at."""
        with self._lock:
            known = self._seen.get(seen.name)
            if seen.phase not in _UNDER_WAY:
                self._seen.pop(seen.name, None)
            elif known is None or known[0] != seen:
                self._seen[seen.name] = seen, self._monotonic()
                for name in list(self._seen)[:-RUNS_MAX]:
                    del self._seen[name]

    def get(self, name: str) -> LiveRun | None:
        """What a run is at; None when it is not under way, or was not looked at yet."""
        if (known := self._seen.get(name)) is None:
            return None
        seen, at = known
        return LiveRun(phase=seen.phase, step=seen.step, seconds=max(0.0, self._monotonic() - at))
