"""Watches the demo's daemon through its ledger: tells what happens, and waits for what should."""

import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Self

from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.adapters.ledger.history import History, open_history
from trainer_daemon.commands.matching import Match
from trainer_daemon.commands.opening import Session
from trainer_daemon.commands.records import Course, Records, read_course, read_records
from trainer_daemon.commands.timeline import timeline
from trainer_daemon.demo_screen import Screen
from trainer_daemon.demo_stage import MODEL, Daemon, DemoError
from trainer_daemon.demo_steps import StepLines
from trainer_daemon.errors import StaleStateError
from trainer_daemon.policy.runs import LIVE, OPEN, Run, RunState

WAIT_S_MAX = 120.0
END_S_MAX = 15.0
_LOOK_S = 0.2
_ENDED = frozenset(
    {
        RunState.PROMOTED,
        RunState.REJECTED,
        RunState.QUARANTINED,
        RunState.SUPERSEDED,
        RunState.CANCELED,
        RunState.AWAITING_APPROVAL,
    }
)


class Watcher:
    """Looks into the ledger again and again; use as a context manager."""

    def __init__(self, session: Session, screen: Screen, daemon: Daemon) -> None:
        self._session = session
        self._screen = screen
        self._daemon = daemon
        self._resources = ExitStack()
        self._history: History | None = None
        self._steps: dict[str, StepLines] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def look(self) -> Records:
        """The ledger as it is now; what is new in it is told."""
        if self._history is None and (history := open_history(self._session.settings.ledger)):
            self._history = self._resources.enter_context(history)
        records = read_records(self._history, MODEL)
        if self._history is not None:
            self._tell(records, self._history)
        return records

    def course(self) -> Course:
        """What happened to all runs."""
        return read_course(self._history, self.look().runs) if self._history is not None else Course()

    def until(self, condition: Callable[[Records], bool], what: str) -> Records:
        """Look until something has happened.

        Args:
            condition: Whether it has.
            what: What is waited for, in words.

        Raises:
            DemoError: It does not happen in time, or the daemon has ended.
        """
        deadline = time.monotonic() + WAIT_S_MAX
        with self._screen.waiting(f"waiting for {what}"):
            while not condition(records := self.look()):
                self._daemon.require_alive()
                if time.monotonic() > deadline:
                    raise DemoError(self._complaint(f"waited {WAIT_S_MAX:g} s in vain for {what}"))
                self._screen.still(f"waiting for {what}")
                time.sleep(_LOOK_S)
        return records

    def until_run(self, period: str, state: RunState, *, nth: int = 1) -> Run:
        """Look until the nth run of a period is in a state.

        Raises:
            DemoError: It ends in another one, or does not get there in time.
        """

        def reached(records: Records) -> bool:
            run = _nth(records, period, nth)
            if run is not None and run.state in _ENDED and run.state is not state:
                msg = f"run {run.name} should have ended {state} and is {run.state}: {_why(run)}"
                raise DemoError(self._complaint(msg))
            return run is not None and run.state is state

        run = _nth(self.until(reached, f"the run of {period} to be {state}"), period, nth)
        assert run is not None  # noqa: S101 - that is what was waited for
        return run

    def until_step(self, period: str) -> None:
        """Look until a step of the period's newest run has said something.

        Raises:
            DemoError: None does in time.
        """

        def spoke(records: Records) -> bool:
            return any(self._steps[run.name].spoke for run in records.runs if run.period == period and run.name in self._steps)

        self.until(spoke, f"the first step of {period}")

    def end_open_runs(self) -> None:
        """Have the daemon end what it works on, so that nothing goes on after a demo that was interrupted."""
        if self._history is None:
            return
        wanted = [run for run in self.look().runs if run.state in LIVE]
        with Ledger(self._session.settings.ledger) as ledger:
            for run in wanted:
                with suppress(StaleStateError):
                    ledger.request_cancel(run, "the demo has ended")
        deadline = time.monotonic() + END_S_MAX
        while time.monotonic() < deadline and self._daemon.is_alive() and any(run.state in LIVE for run in self.look().runs):
            time.sleep(_LOOK_S)

    def _tell(self, records: Records, history: History) -> None:
        everything = Match(kind="everything", records=records, runs=records.runs, happenings=records.happenings)
        entries = timeline(everything, read_course(history, records.runs))
        open_runs = [run for run in records.runs if run.state in OPEN]
        for run in open_runs:
            if run.name in self._steps:  # what a step said before it ended comes before its end, and after the run's beginning
                self._tell_steps(run)
        self._screen.tell([replace(entry, details=()) if entry.id.endswith(":pending") else entry for entry in entries])
        for run in open_runs:
            self._steps.setdefault(run.name, StepLines(self._session.log_of(run.name)))

    def _tell_steps(self, run: Run) -> None:
        for line in self._steps[run.name].new():
            self._screen.line(f"    │ {line}", style="cyan")

    def _complaint(self, sentence: str) -> str:
        return f"{sentence}; the end of the daemon's log:\n{self._daemon.last_words()}"


def _nth(records: Records, period: str, nth: int) -> Run | None:
    runs = [run for run in records.runs if run.period == period]
    return runs[nth - 1] if len(runs) >= nth else None


def _why(run: Run) -> str:
    return "; ".join(run.decision.reasons) if run.decision else run.error
