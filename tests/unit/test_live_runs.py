"""What runs under way are at, and for how long."""

from trainer_daemon.policy.observations import Observation, Phase
from trainer_daemon.telemetry.live_runs import RUNS_MAX, LiveRun, LiveRuns


class Clock:
    """A clock that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


def seen(step: str = "", phase: Phase = Phase.RUNNING, name: str = "churn-1") -> Observation:
    """A look at a run."""
    return Observation(name=name, phase=phase, step=step)


def test_time_of_a_step_counts_from_the_look_that_first_found_it() -> None:
    """Further looks that find the same change nothing."""
    clock = Clock()
    live = LiveRuns(clock)
    live.note(seen("load"))
    clock.now += 5
    live.note(seen("train-model"))
    clock.now += 7
    live.note(seen("train-model"))
    assert live.get("churn-1") == LiveRun(phase=Phase.RUNNING, step="train-model", seconds=7)


def test_run_that_ended_or_vanished_is_forgotten() -> None:
    """Nobody is told of what it was at."""
    live = LiveRuns()
    for phase in (Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELED, Phase.VANISHED, Phase.UNKNOWN):
        live.note(seen("train-model"))
        live.note(seen(phase=phase))
        assert live.get("churn-1") is None, phase


def test_runs_that_nobody_saw_end_do_not_add_up() -> None:
    """The oldest are forgotten."""
    live = LiveRuns()
    for number in range(RUNS_MAX + 1):
        live.note(seen(name=f"churn-{number}"))
    assert live.get("churn-0") is None
    assert live.get("churn-1") is not None
