from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from trainer_daemon.adapters.kubeflow.runs import KfpRun, oldest
from trainer_daemon.policy.observations import Phase
from trainer_daemon.remote.runs import Task, failure, observation_of

BEGIN = datetime(2026, 11, 21, 9, tzinfo=UTC)
LINK = "https://kf.example/#/runs/details/1"


def a_run(state: str = "RUNNING", *tasks: Task, **changes: Any) -> KfpRun:  # noqa: ANN401 - any field
    """A run that began at nine."""
    return KfpRun(**{"id": "1", "name": "churn-1", "state": state, "created_at": BEGIN, "tasks": tasks, **changes})


def a_task(name: str, state: str = "FAILED", **changes: Any) -> Task:  # noqa: ANN401 - any field
    """A node whose id is its name."""
    return Task(**{"id": name, "name": name, "state": state, **changes})


@pytest.mark.parametrize(
    ("state", "phase"),
    [
        ("", Phase.PENDING),
        ("RUNTIME_STATE_UNSPECIFIED", Phase.PENDING),
        ("PENDING", Phase.PENDING),
        ("RUNNING", Phase.RUNNING),
        ("PAUSED", Phase.RUNNING),
        ("CANCELING", Phase.RUNNING),
        ("SUCCEEDED", Phase.SUCCEEDED),
        ("SKIPPED", Phase.FAILED),
        ("FAILED", Phase.FAILED),
        ("CANCELED", Phase.CANCELED),
        ("FOO", Phase.UNKNOWN),
    ],
)
def test_every_state_has_a_phase(state: str, phase: Phase) -> None:
    """One that the API does not have yet is unknown, and named."""
    seen = observation_of(a_run(state), timeout_s=60, link=LINK)
    assert (seen.phase, seen.run_id) == (phase, "1")
    assert seen.reason == ("FOO" if phase is Phase.UNKNOWN else seen.reason)


def test_step_that_a_run_is_at_is_named_by_its_author() -> None:
    """Between two steps there is none: the root is no step."""
    root = a_task("root", "RUNNING", children=("load", "train-model"))
    at_work = a_task("executor", "RUNNING", parent="train-model")
    step = a_task("train-model", "RUNNING", children=("executor",), parent="root")
    run = a_run("RUNNING", root, a_task("load", "SUCCEEDED", parent="root"), step, at_work)
    assert observation_of(run, timeout_s=60, link="").step == "train-model"
    assert observation_of(a_run("RUNNING", root), timeout_s=60, link="").step == ""


def test_oldest_run_counts_and_ids_decide_within_a_second() -> None:
    """Whoever looks, in whatever order."""
    first, second = a_run(id="b"), a_run(id="c")
    later = a_run(id="a", created_at=BEGIN + timedelta(seconds=1))
    assert oldest([later, second, first]) is oldest([first, second, later]) is first
    assert oldest([]) is None


def test_failing_step_is_named_by_its_author() -> None:
    """Not the root, not the group, not the pod below it."""
    run = a_run(
        "FAILED",
        a_task("root", children=("train-model",)),
        a_task("load", "SUCCEEDED"),
        a_task("train-model", children=("executor",)),
        a_task("executor", error="OOMKilled\n(exit code 137)"),
    )
    assert failure(run) == "step train-model failed: OOMKilled (exit code 137)"


def test_steps_may_be_nested_as_deeply_as_they_like_or_in_a_circle() -> None:
    """None of them has a name of its own."""
    deep = [a_task("executor", id=f"{at}", children=(f"{at + 1}",)) for at in range(1500)]
    assert failure(a_run("FAILED", *deep)) == "step executor failed"
    circle = [a_task("executor", id=f"{at}", children=(f"{(at + 1) % 3}",)) for at in range(3)]
    assert failure(a_run("FAILED", *circle, a_task("executor", parent="0"))) == "step executor failed"


def test_parents_are_known_by_either_end() -> None:
    """Some servers tell of children, some of parents."""
    run = a_run("FAILED", a_task("root"), a_task("train-model", parent="root"))
    assert failure(run) == "step train-model failed"


def test_driver_that_fails_is_told_as_its_step() -> None:
    """Nobody wrote a step of that name."""
    assert (
        failure(a_run("FAILED", a_task("train-model-driver", error="no such image"))) == "step train-model failed: no such image"
    )


def test_run_that_failed_without_a_step_says_so() -> None:
    """With the server's words where it has some."""
    assert failure(a_run("FAILED", error="quota exceeded")) == "the run failed: quota exceeded"
    assert failure(a_run("FAILED")) == "the run failed before any of its steps began"
    assert "skipped the run" in failure(a_run("SKIPPED"))


def test_long_words_are_cut() -> None:
    """A ledger is no log."""
    assert len(failure(a_run("FAILED", error="x" * 5000))) < 600


def test_failure_links_to_the_page_of_the_run() -> None:
    """When it is known."""
    failed = a_run("FAILED", a_task("train-model"))
    assert observation_of(failed, timeout_s=60, link=LINK).reason == f"step train-model failed; see {LINK}"
    assert observation_of(failed, timeout_s=60, link="").reason == "step train-model failed"


def test_run_that_was_ended_after_its_time_has_failed_by_it() -> None:
    """Its own times say so, to whoever looks; one that was ended earlier was cancelled by somebody."""
    tasks = (a_task("root", "CANCELED", children=("train-model",)), a_task("train-model", "CANCELED"))
    late = a_run("CANCELED", *tasks, finished_at=BEGIN + timedelta(seconds=61))
    early = a_run("CANCELED", *tasks, finished_at=BEGIN + timedelta(seconds=59))
    seen = observation_of(late, timeout_s=60, link="")
    assert (seen.phase, seen.reason) == (Phase.FAILED, "timed out after 60 s in step train-model")
    assert observation_of(early, timeout_s=60, link="").phase is Phase.CANCELED
