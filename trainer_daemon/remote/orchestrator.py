"""What orchestrators that are elsewhere do alike: runs are observed, ended when they take too long, cancelled.

A run is over when the service says so and not before: a cancelled or overdue one is told to end and then watched like any other.
That it ended after its time, and not because somebody cancelled it, is read from its own times, so it survives a restart.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol

from structlog.typing import FilteringBoundLogger

from trainer_daemon.errors import TemporaryError
from trainer_daemon.policy.observations import Observation, Phase
from trainer_daemon.remote.runs import is_overdue, observation_of
from trainer_daemon.remote.watch import LOOK_S_MAX, LOOK_S_MIN, Run, Runs, Watch

_ENDING_LOOK_S = 0.5
_PAUSE_S_MIN = 0.1


class Service(Runs[Run], Protocol[Run]):
    """What executes runs.

    Attributes:
        title: Its name, for a person.
    """

    title: str

    def detailed(self, run: Run) -> Run | None:
        """With its tasks; None when it is gone."""

    def end(self, run: Run) -> None:
        """Tell it to end; what is over already stays as it is."""

    def living(self, name: str) -> Sequence[Run]:
        """Every run of the name that is not over."""

    def close(self) -> None:
        """Close the connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How runs are followed.

    Attributes:
        run_timeout_s: Of runs that an earlier daemon has started.
        link: The page of a run by its id; empty when nobody said where that is.
        ending_s: How long a cancelled run may take to end before somebody hears of it.
        look_s: The shortest and the longest time between two looks, see `Watch`.
    """

    run_timeout_s: float
    link: Callable[[str], str] = lambda _: ""
    ending_s: float = 30.0
    look_s: tuple[float, float] = (LOOK_S_MIN, LOOK_S_MAX)


class RemoteOrchestrator(Generic[Run]):
    """The part of an `Orchestrator` that is the same whatever service executes the runs; a subclass submits and archives.

    Args:
        service: What executes them.
        habits: How they are followed.
        on_change: Called with a run's name when it is seen in another state.
        clock: Now, in UTC.
        log: The daemon's.
    """

    def __init__(
        self,
        service: Service[Run],
        habits: Habits,
        *,
        on_change: Callable[[str], None],
        clock: Callable[[], datetime],
        log: FilteringBoundLogger,
    ) -> None:
        self._service = service
        self._link = habits.link
        self._habits = habits
        self._clock = clock
        self._log = log
        self._watch = Watch(service, on_change=on_change, look_s=habits.look_s)
        self._timeouts_s: dict[str, float] = {}
        self._overdue: set[str] = set()
        self._closed = threading.Event()

    def observe(self, names: Sequence[str]) -> Mapping[str, Observation]:
        """The state of each named run as of the last look at all of them.

        Raises:
            PermanentError: The service refuses.
            TemporaryError: It does not answer.
        """
        return {name: self._observation(name, run) for name, run in self._watch.see(names).items()}

    def pause_s(self, looks: int) -> float:  # noqa: ARG002 - the look is shared, so nobody's own count matters
        """How long `observe` will go on saying the same; never nothing, since somebody else may have to look first."""
        return max(self._watch.pause_s(), _PAUSE_S_MIN)

    def cancel(self, name: str) -> None:
        """End every run of the name and return when all are over.

        Raises:
            TemporaryError: They do not end in time; they have been told to.
        """
        living = self._tell_to_end(name)
        deadline = time.monotonic() + self._habits.ending_s  # after it was told: there is one more look, however long that took
        while living and not self._closed.wait(_ENDING_LOOK_S):
            living = self._tell_to_end(name)
            if time.monotonic() > deadline:
                break
        if living:
            msg = f"run {name} was told to end on {self._service.title} and is still {living[0].state}"
            raise TemporaryError(msg)
        self._watch.find(name)

    def close(self) -> None:
        """Wait for nothing any more and close the connections; runs go on."""
        self._closed.set()
        self._service.close()

    def _expect(self, name: str, timeout_s: float) -> None:
        """A run is about to be started that may take so long."""
        self._timeouts_s[name] = timeout_s

    def _tell_to_end(self, name: str) -> Sequence[Run]:
        """Those of the name that are not over, as they were before."""
        living = self._service.living(name)
        for run in living:
            if not run.is_ending:
                self._service.end(run)
        return living

    def _observation(self, name: str, run: Run | None) -> Observation:
        if run is None:
            return Observation(name=name, phase=Phase.VANISHED)
        timeout_s = self._timeouts_s.get(name, self._habits.run_timeout_s)
        if not run.is_ending and is_overdue(run, timeout_s, self._clock()):
            self._end_overdue(run, timeout_s)
        if run.phase in {Phase.FAILED, Phase.CANCELED} and not run.tasks:  # the list leaves them out
            run = self._service.detailed(run) or run
        return observation_of(run, timeout_s=timeout_s, link=self._link(run.id))

    def _end_overdue(self, run: Run, timeout_s: float) -> None:
        """Its end is seen by a later look."""
        self._service.end(run)
        if run.id not in self._overdue:
            self._overdue.add(run.id)
            self._log.warning("run_overdue", run=run.name, run_id=run.id, timeout_s=timeout_s)
        self._watch.note(run)
