"""Whether the daemon makes progress and reaches what it needs, as its own threads say; who asks never waits for any of them.

Progress is not "the process is up": every loop says when it will have moved on at the latest, so one that hangs in a call, or
waits for a lock that nobody gives back, is late. A loop that fails and tries again makes progress: to start the process again
would mend nothing.
"""

import math
import time
from collections.abc import Callable, Mapping
from enum import StrEnum

from trainer_daemon.telemetry.live_runs import LiveRuns

Monotonic = Callable[[], float]

ROUND_S_MAX = 600.0
"""How long a round may take, for whoever knows nothing better."""
SLACK_S = 60.0
"""What a busy machine may add to a rest."""
START_S_MAX = 300.0
"""How long a start may take: migrations of a large ledger, services that do not answer."""


class Pulse:
    """When a loop has moved on at the latest; set by its thread, read by any.

    Args:
        name: What is late if it is.
        round_s_max: How long a round, or a part of one that says that it goes on, may take.
        monotonic: Seconds that only ever grow.
    """

    def __init__(self, name: str, *, round_s_max: float = ROUND_S_MAX, monotonic: Monotonic = time.monotonic) -> None:
        self.name = name
        self._round_s_max = round_s_max
        self._monotonic = monotonic
        self._due = math.inf

    def beat(self) -> None:
        """A round begins, or goes on."""
        self._due = self._monotonic() + self._round_s_max

    def rest(self, seconds: float | None) -> None:
        """The next round begins in so many seconds; None when something else has to happen first."""
        self._due = math.inf if seconds is None else self._monotonic() + seconds + SLACK_S

    @property
    def late_s(self) -> float:
        """Seconds since it should have moved on; 0 while there is time."""
        return max(0.0, self._monotonic() - self._due)


class Part:
    """Something the daemon needs, and how the last call of it went; set by those who call it, read by any.

    Args:
        name: Such as `ledger`.
        stale_s: An answer that is older says nothing.
        monotonic: Seconds that only ever grow.
    """

    def __init__(self, name: str, *, stale_s: float = math.inf, monotonic: Monotonic = time.monotonic) -> None:
        self.name = name
        self._stale_s = stale_s
        self._monotonic = monotonic
        self._heard: tuple[float, str] | None = None

    def answered(self) -> None:
        """It did what was asked, or refused in its own words: it can be reached."""
        self._heard = self._monotonic(), ""

    def failed(self, reason: str) -> None:
        """It did not answer, or cannot be used at all; one sentence says why."""
        self._heard = self._monotonic(), reason

    @property
    def age_s(self) -> float:
        """Seconds since it was last heard of; infinite before the first time."""
        return math.inf if self._heard is None else self._monotonic() - self._heard[0]

    @property
    def problem(self) -> str:
        """Why it does not count as reachable; empty when it does."""
        if self._heard is None:
            return "has not answered yet"
        at, reason = self._heard
        age_s = self._monotonic() - at
        return reason or (f"has not been heard of for {age_s:.0f} s" if age_s > self._stale_s else "")


class Phase(StrEnum):
    """Where the process is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"


class Vitals:
    """All pulses and parts of a process; they are added while it starts.

    Args:
        monotonic: Seconds that only ever grow.

    Attributes:
        live_runs: What the runs under way are at.
    """

    def __init__(self, monotonic: Monotonic = time.monotonic) -> None:
        self.phase = Phase.STARTING
        self.live_runs = LiveRuns()
        self._monotonic = monotonic
        self._pulses: list[Pulse] = []
        self._parts: list[Part] = []
        self._on_asked: Callable[[], None] = lambda: None
        self._start = self.pulse("start", START_S_MAX)
        self._start.beat()

    def pulse(self, name: str, round_s_max: float = ROUND_S_MAX) -> Pulse:
        """A loop's pulse, which counts from now on."""
        pulse = Pulse(name, round_s_max=round_s_max, monotonic=self._monotonic)
        self._pulses.append(pulse)
        return pulse

    def part(self, name: str, *, stale_s: float = math.inf) -> Part:
        """A part, which counts from now on."""
        part = Part(name, stale_s=stale_s, monotonic=self._monotonic)
        self._parts.append(part)
        return part

    def on_asked(self, look: Callable[[], None]) -> None:
        """Have something called, which must not block, whenever somebody asks for the parts."""
        self._on_asked = look

    def running(self) -> None:
        """The daemon has started."""
        self._start.rest(None)
        self.phase = Phase.RUNNING

    def draining(self) -> None:
        """The daemon ends; it takes up nothing new."""
        self.phase = Phase.DRAINING

    def lateness(self) -> Mapping[str, float]:
        """For each loop, how many seconds it is late."""
        return {pulse.name: pulse.late_s for pulse in self._pulses}

    def problems(self) -> Mapping[str, str]:
        """For each part, why it cannot be reached, or ''; from what was last seen."""
        self._on_asked()
        return {part.name: part.problem for part in self._parts}
