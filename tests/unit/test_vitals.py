"""What loops and parts say of themselves, and what follows from it; no time passes but what a test says."""

import math

import pytest

from trainer_daemon.telemetry.vitals import SLACK_S, START_S_MAX, Phase, Vitals


class Seconds:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    """The clock of the test."""
    return Seconds()


@pytest.fixture
def vitals(seconds: Seconds) -> Vitals:
    """Nothing was added yet."""
    return Vitals(seconds)


def test_round_that_takes_too_long_is_late(vitals: Vitals, seconds: Seconds) -> None:
    """By as much as it is over its deadline, and no longer once it goes on."""
    pulse = vitals.pulse("list churn", 30.0)
    pulse.beat()
    seconds.now += 30
    assert vitals.lateness()["list churn"] == 0
    seconds.now += 5
    assert vitals.lateness()["list churn"] == 5
    pulse.beat()
    assert vitals.lateness()["list churn"] == 0


def test_rest_that_does_not_end_is_late(vitals: Vitals, seconds: Seconds) -> None:
    """A thread that died in its sleep is found as well; a busy machine has some time."""
    pulse = vitals.pulse("reconcile churn")
    pulse.rest(3600.0)
    seconds.now += 3600 + SLACK_S
    assert pulse.late_s == 0
    seconds.now += 1
    assert pulse.late_s == 1


def test_who_waits_for_something_is_never_late(vitals: Vitals, seconds: Seconds) -> None:
    """Nor is a loop that has not begun."""
    waiting, new = vitals.pulse("waiting"), vitals.pulse("new")
    waiting.rest(None)
    seconds.now += 1e9
    assert (waiting.late_s, new.late_s) == (0, 0)


def test_start_has_a_deadline(vitals: Vitals, seconds: Seconds) -> None:
    """Until the daemon runs."""
    seconds.now += START_S_MAX + 1
    assert vitals.lateness() == {"start": 1}
    vitals.running()
    assert vitals.lateness() == {"start": 0}


def test_part_is_reachable_from_its_first_answer_on(vitals: Vitals) -> None:
    """Silence is no answer, and a failure says why."""
    part = vitals.part("mlflow")
    assert (part.age_s, vitals.problems()) == (math.inf, {"mlflow": "has not answered yet"})
    part.answered()
    assert vitals.problems() == {"mlflow": ""}
    part.failed("no answer within 60 s")
    assert vitals.problems() == {"mlflow": "no answer within 60 s"}


def test_old_answer_says_nothing_about_now(vitals: Vitals, seconds: Seconds) -> None:
    """Where it is known how old one may be."""
    asked, told = vitals.part("mlflow", stale_s=120.0), vitals.part("bucket churn")
    asked.answered()
    told.answered()
    seconds.now += 121
    assert vitals.problems() == {"mlflow": "has not been heard of for 121 s", "bucket churn": ""}


def test_who_asks_for_the_parts_has_them_asked(vitals: Vitals) -> None:
    """What is answered is what was known before."""
    asked: list[str] = []
    vitals.part("mlflow")
    vitals.on_asked(lambda: asked.append("asked"))
    assert vitals.problems() == {"mlflow": "has not answered yet"}
    assert asked == ["asked"]


def test_phases_follow_one_another(vitals: Vitals) -> None:
    """From the start to the drain."""
    phases = [vitals.phase]
    vitals.running()
    phases.append(vitals.phase)
    vitals.draining()
    assert [*phases, vitals.phase] == [Phase.STARTING, Phase.RUNNING, Phase.DRAINING]
