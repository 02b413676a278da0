"""The daemon keeps its promises: in ten thousand histories in continuous integration, in a tenth of them elsewhere."""

import os
from collections.abc import Iterator

import pytest

from tests.simulation.history import live, replay
from tests.simulation.replica import Makers
from tests.simulation.shrink import Shrinker
from tests.simulation.telling import trace

CHUNK = 100
"""So few that none comes near the time that a test may take on a busy machine."""
CHUNKS = {1: 75, 2: 20, 3: 5}
"""How many of them are lived with so many daemons on one ledger."""
OPEN = {(1, 2681)}
"""Histories that are known to break a promise: docs/reliability.md, windows over several months."""
SHARE = 1 if os.environ.get("CI") else 10


def chunks() -> Iterator[tuple[int, int]]:
    """Number of daemons, and the first history."""
    for replicas, many in CHUNKS.items():
        yield from ((replicas, chunk * CHUNK) for chunk in range(-(-many // SHARE)))


@pytest.mark.parametrize(("replicas", "first"), list(chunks()))
def test_every_promise_is_kept(replicas: int, first: int) -> None:
    """Whatever crashes, is lost, late, repeated, reordered or moved by hand; a history that fails is made small and told."""
    for number in range(first, first + CHUNK):
        course = live(f"1:{number}", replicas=replicas)
        if course.violations and (replicas, number) not in OPEN:
            pytest.fail(trace(f"1:{number}", Shrinker(course, makers=Makers()).shrink()))


def test_history_takes_the_same_course_again() -> None:
    """From its seed, and from the plan that was recorded; without that a seed would be worth nothing."""
    for number in range(6):
        first, again = (live(f"same:{number}", replicas=1 + number % 2) for _ in range(2))
        replayed = replay(first.plan)
        assert first == again == replayed
