"""What the faults of a drill call broken, and what they do not."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.builders import NOW, a_run
from trainer_daemon.drill.faults import Fault, drill
from trainer_daemon.policy.promises import Verdict
from trainer_daemon.policy.runs import Run, RunState


class Silence:
    """Nobody watches."""

    def headline(self, words: str) -> None:
        """Not shown."""


@dataclass
class Course:
    """What is seen of a drill in which a run's drop was corrected."""

    older: Run
    newer: Run
    seen_at: datetime
    screen = Silence()

    def upload_month(self) -> str:
        """The older bytes."""
        return "older"

    def upload_correction(self, _run: Run) -> str:
        """The newer ones."""
        return "newer"

    def until_running(self, upload: str) -> Run:
        """Of an upload."""
        return self.older if upload == "older" else self.newer

    def until_ended(self, run: Run) -> Run:
        """It has."""
        return run

    until_decided = until_ended

    def recorded_at(self, _run: Run) -> datetime:
        """Of the newer bytes."""
        return self.seen_at


@pytest.mark.parametrize(
    ("state", "seen_after_s", "verdict"),
    [
        (RunState.SUPERSEDED, -1, Verdict.HELD),
        (RunState.REJECTED, -1, Verdict.BROKEN),
        (RunState.PROMOTED, -1, Verdict.BROKEN),
        (RunState.REJECTED, 1, Verdict.SKIPPED),
    ],
)
def test_run_that_ended_before_its_drop_was_corrected_breaks_nothing(
    state: RunState, seen_after_s: float, verdict: Verdict
) -> None:
    """A pipeline may be quicker than a busy machine notices files."""
    older, newer = a_run(state=state, updated_at=NOW), a_run(state=RunState.PROMOTED)
    course: Any = Course(older, newer, NOW + timedelta(seconds=seen_after_s))
    assert drill(Fault.CORRECTION, course).verdict is verdict
