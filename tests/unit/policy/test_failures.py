"""A full disk is no fault of the run, and a clock that was set back is none of its backoff."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.builders import NOW, a_run, a_snapshot
from trainer_daemon.policy.actions import Advance, Submit, Wait
from trainer_daemon.policy.decide import decide
from trainer_daemon.policy.failures import is_full_disk
from trainer_daemon.policy.observations import Observation, Phase
from trainer_daemon.policy.runs import RunState


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("step train failed: OSError: [Errno 28] No space left on device: '/x'", True),
        ("(sqlite3.OperationalError) database or disk is full", True),
        ("OSError: [Errno 122] Disk quota exceeded", True),
        ("step train failed: ValueError: no space in the name", False),
    ],
)
def test_full_disk_costs_no_attempt(reason: str, *, expected: bool) -> None:
    """By whoever's words; any other failure costs one."""
    assert is_full_disk(reason) is expected
    run = a_run(RunState.RUNNING)
    snapshot = a_snapshot(run, observation=Observation(name=run.name, phase=Phase.FAILED, reason=reason))
    action = decide(snapshot, NOW)
    assert isinstance(action, Advance)
    assert (action.to, action.excused) == (RunState.FAILED, expected)


@pytest.mark.parametrize(
    ("moved", "expected"),
    [
        (timedelta(seconds=30), Wait),  # the backoff is on
        (timedelta(minutes=15), Submit),  # it is over
        (timedelta(hours=-25), Submit),  # the clock was set back since it began
        (timedelta(seconds=-2), Wait),  # clocks of replicas differ by as much
    ],
)
def test_backoff_ends_when_the_clock_is_set_back(moved: timedelta, expected: type) -> None:
    """Nobody knows how long it has been on; to wait for the clock would take as long as it was set back."""
    run = replace(a_run(), updated_at=NOW, ready_at=NOW + timedelta(minutes=10))
    assert isinstance(decide(a_snapshot(run), NOW + moved), expected)
