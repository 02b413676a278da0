"""The daemon keeps its promises in some hundred histories; `make simulate` lives as many as wanted."""

import pytest

from tests.simulation.history import live, replay
from tests.simulation.replica import Makers
from tests.simulation.shrink import Shrinker
from tests.simulation.telling import trace

CHUNKS, HISTORIES = 6, 40
"""Less than half a minute on one core; in chunks, so that none comes near the time that a test may take on a busy machine."""


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_promise_is_kept(chunk: int) -> None:
    """Whatever crashes, is lost, late, repeated, reordered or moved by hand; a history that fails is made small and told."""
    for number in range(chunk * HISTORIES, (chunk + 1) * HISTORIES):
        course = live(f"test:{number}")
        if course.violations:
            pytest.fail(trace(f"test:{number}", Shrinker(course, makers=Makers()).shrink()))


def test_history_takes_the_same_course_again() -> None:
    """From its seed, and from the plan that was recorded; without that a seed would be worth nothing."""
    for number in range(5):
        first, again = live(f"same:{number}"), live(f"same:{number}")
        replayed = replay(first.plan)
        assert first == again == replayed
