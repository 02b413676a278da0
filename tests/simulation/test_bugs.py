"""The simulator finds bugs: every one that is seeded, soon, and by a history that is short enough to be read."""

import pytest

from tests.simulation.bugs import BUGS, Bug
from tests.simulation.history import Course, live, replay
from tests.simulation.replica import Makers
from tests.simulation.shrink import Shrinker
from tests.simulation.telling import trace

READABLE = 25
"""Steps that a person can follow."""


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_seeded_bug_is_found(bug: Bug) -> None:
    """Within the number of histories that stands beside it; and it is the bug that was found."""
    found = _first_failure(bug)
    assert found is not None, f"{bug.name} was not found within {bug.histories} histories from {bug.first} on"
    assert {violation.invariant for violation in found.violations} & bug.breaks
    assert replay(found.plan).violations == ()


def test_failing_history_is_made_small_and_told_in_words() -> None:
    """What remains fails the same way, and names the crash that it takes."""
    bug = next(bug for bug in BUGS if bug.name == "WritesPromotionFirst")
    found = _first_failure(bug)
    assert found is not None
    small = Shrinker(found, makers=bug.makers).shrink()
    assert len(small.plan.choices) <= min(READABLE, len(found.plan.choices) - 1)
    assert replay(small.plan, makers=bug.makers).violations == small.violations
    told = trace("1:1", small)
    assert "daemon 0 reconciles one step; at its" in told
    assert small.violations[0].invariant in told
    assert replay(small.plan, makers=Makers()).violations == ()


def _first_failure(bug: Bug) -> Course | None:
    courses = (
        live(f"bug:{number}", makers=bug.makers, replicas=bug.replicas) for number in range(bug.first, bug.first + bug.histories)
    )
    return next((course for course in courses if course.violations), None)
