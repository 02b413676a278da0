"""How long a model rests, and whether that counts as idle."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import structlog

from tests.builders import NOW
from trainer_daemon.daemon import BACKOFF_LOOK_S, ModelLoop
from trainer_daemon.policy.actions import Wait


class Waiting:
    """A reconciler that has nothing to do but wait."""

    def __init__(self, wait: Wait) -> None:
        self._wait = wait
        self.looked = threading.Event()

    def step(self) -> Wait:
        """Nothing is done."""
        self.looked.set()
        return self._wait


class Held:
    """A lease that nobody else wants."""

    def begin(self) -> bool:
        """It is held."""
        return True


def eventually(look: Callable[[], bool]) -> bool:
    """Whether something comes true within minutes."""
    deadline = time.monotonic() + 240
    while not look() and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    return look()


@pytest.mark.parametrize(
    ("wait", "idle"),
    [
        (Wait(), True),
        (Wait(until=NOW + timedelta(days=14), idle=True), True),
        (Wait(until=NOW + timedelta(days=14)), False),
    ],
    ids=["nothing to do", "a person has to answer", "a retry follows"],
)
def test_waiting_for_a_person_counts_as_idle(wait: Wait, *, idle: bool) -> None:
    """So that `run --until-idle` does not last as long as a person takes."""
    reconciler: Any = Waiting(wait)
    tenure: Any = Held()
    model = ModelLoop(reconciler, tenure, pause_s=lambda _: 60.0, clock=lambda: NOW, log=structlog.get_logger())
    model.loop.start()
    try:
        assert reconciler.looked.wait(240)
        resting = model.loop
        assert eventually(lambda: resting.idle or (not idle and resting._resting is not None))
        assert resting.idle is idle
    finally:
        model.loop.stop()
        assert model.loop.join(240)


def test_backoff_is_looked_at_again_soon_when_the_clock_is_set_back() -> None:
    """What was a few seconds ahead when it was decided may be a day ahead when the sleep begins."""
    reconciler: Any = Waiting(Wait(until=NOW + timedelta(seconds=8)))
    tenure: Any = Held()
    behind = NOW - timedelta(days=1)
    model = ModelLoop(reconciler, tenure, pause_s=lambda _: 60.0, clock=lambda: behind, log=structlog.get_logger())
    model.loop.start()
    try:
        resting = model.loop
        assert eventually(lambda: resting._resting is not None)
        assert resting._resting is not None
        assert resting._resting.seconds == BACKOFF_LOOK_S
    finally:
        model.loop.stop()
        assert model.loop.join(240)
