"""What happens between two calls of one step, and after a crash that left something half done; found by the simulator."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.builders import MODEL, NOW, a_drop, a_policy, an_operator_event
from tests.integration.test_reconciler import Countdown, Crash, World
from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.errors import PermanentError
from trainer_daemon.policy.actions import Wait
from trainer_daemon.policy.observations import Failure, Phase
from trainer_daemon.policy.runs import Run, RunState
from trainer_daemon.ports import RunRequest, Submission


@pytest.fixture
def world(usual_ledger_url: str) -> World:
    """An empty world."""
    return World(usual_ledger_url)


def meanwhile(world: World, happen: Callable[[], None]) -> None:
    """Once, while the tags of the first decision are being written."""
    original = world.registry.record_decision
    left = [happen]

    def record_decision(*args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the role's call
        original(*args, **kwargs)
        if left:
            left.pop()()

    world.registry.record_decision = record_decision  # type: ignore[method-assign]


def the_run(world: World) -> Run:
    """The only run that something is still to happen to."""
    with Ledger(world.url) as ledger:
        (run,) = ledger.live_runs(MODEL)
    return run


def state_of(world: World, run: Run) -> RunState:
    """Of a run that was seen before."""
    with Ledger(world.url) as ledger:
        return ledger.run(run.key).state


def step_until(world: World, state: RunState) -> Run:
    """Reconcile until the only run is in a state."""
    with Ledger(world.url) as ledger:
        reconciler = world.reconciler(ledger, Countdown())
        while not ledger.live_runs(MODEL) or ledger.live_runs(MODEL)[0].state is not state:
            reconciler.step()
    return the_run(world)


def test_correction_that_arrives_while_a_decision_is_tagged_calls_the_promotion_off(world: World) -> None:
    """It was recorded before the alias moved, so the older bytes are not promoted."""
    world.arrive(a_drop())
    meanwhile(world, lambda: world.arrive(a_drop(content="b", generation="2")))
    world.live()
    assert world.registry.moves == [("", "2")]
    assert world.registry.tags["1"]["validation_status"] == "superseded"


def test_cancellation_that_comes_while_a_decision_is_tagged_calls_the_promotion_off(world: World) -> None:
    """The operator was told that it will be carried out."""

    def cancel() -> None:
        with Ledger(world.url) as ledger:
            ledger.request_cancel(ledger.live_runs(MODEL)[0], "ann: wrong month")

    world.arrive(a_drop())
    meanwhile(world, cancel)
    run = step_until(world, RunState.QUEUED)
    world.live()
    assert world.registry.moves == []
    assert state_of(world, run) is RunState.CANCELED


def test_alias_that_is_taken_back_while_its_promotion_is_finished_after_a_crash_stays_there(world: World) -> None:
    """It was seen to have moved, so it is not moved again: the promotion is history, and so is the hand that took it back."""
    original = world.registry.promote

    def promote(*args: Any, **kwargs: Any) -> str:  # noqa: ANN401 - the role's call
        original(*args, **kwargs)
        world.registry.promote = original  # type: ignore[method-assign]
        raise Crash

    world.registry.promote = promote  # type: ignore[method-assign]
    world.arrive(a_drop())
    with pytest.raises(Crash):
        world.live()
    meanwhile(world, world.registry.aliases.clear)
    world.live()
    assert world.registry.moves == [("", "1")]
    assert world.registry.aliases == {}
    assert world.states() == {"2025-03": RunState.PROMOTED}


def test_refusal_about_a_run_that_somebody_else_has_moved_counts_no_longer(world: World) -> None:
    """The run is looked at again; nothing crashes, and nobody's run fails."""
    world.arrive(a_drop())
    run = step_until(world, RunState.QUEUED)

    def submit(request: RunRequest) -> Submission:
        assert request.name == run.name
        with Ledger(world.url) as another:
            another.advance(run, RunState.RUNNING, why="submitted", now=NOW)
        message = "no such image"
        raise PermanentError(message)

    world.orchestrator.submit = submit  # type: ignore[method-assign]
    step_until(world, RunState.RUNNING)
    assert state_of(world, run) is RunState.RUNNING


def test_run_whose_submission_was_not_written_down_is_ended_when_newer_bytes_arrive(world: World) -> None:
    """The ledger has it queued, the orchestrator runs it."""
    world.arrive(a_drop())
    with pytest.raises(Crash):
        world.live(Countdown(left=3, after=True))
    (name,) = world.orchestrator.requests
    assert the_run(world).state is RunState.QUEUED
    world.arrive(a_drop(content="b", generation="2"))
    with Ledger(world.url) as ledger:
        reconciler = world.reconciler(ledger, Countdown())
        while reconciler.step() is None:
            pass
    assert world.orchestrator.phases[name] is Phase.CANCELED
    assert [phase for phase in world.orchestrator.phases.values() if phase is Phase.RUNNING] == [Phase.RUNNING]


def test_bytes_that_came_back_while_their_run_failed_over_their_absence_are_tried_again(world: World) -> None:
    """A, then B, which nobody heard of, then A: the run has read B, and A is what is there."""
    world.arrive(a_drop())
    run = step_until(world, RunState.RUNNING)
    world.registry.failures[run.key] = Failure(attempt=1, step="load", kind="drop_changed", reason="it holds other bytes")
    world.orchestrator.phases[run.name] = Phase.FAILED
    world.arrive(a_drop(generation="3"))
    wait = None
    with Ledger(world.url) as ledger:
        reconciler = world.reconciler(ledger, Countdown())
        while wait is None:
            wait = reconciler.step()
    assert isinstance(wait, Wait)
    assert wait.until is not None
    world.now = wait.until
    world.live()
    assert state_of(world, run) is RunState.PROMOTED


def test_rejection_that_a_lost_ledger_adopts_is_told_as_one(world: World, tmp_path: Path) -> None:
    """It was decided before, so nothing is decided again, and the log does not call it queued."""
    original = world.finish

    def finish(request: Any) -> None:  # noqa: ANN401 - the world's call
        original(request)
        key = request.parameters["run_key"]
        if request.parameters["champion_version"]:
            worse = {"log_loss": 0.9, "roc_auc": 0.8}
            world.registry.evaluations[key] = replace(world.registry.evaluations[key], candidate=worse)

    world.finish = finish  # type: ignore[method-assign]
    for ledger in ("ledger.db", "new.db"):
        world.url = f"sqlite:///{tmp_path / ledger}"
        world.log.calls.clear()
        world.arrive(a_drop("2025-03"), a_drop("2025-05"))
        world.live()
    told = [call.kwargs["event"] for call in world.log.calls]
    assert (told.count("candidate_rejected"), told.count("run_queued")) == (1, 2)


def test_cancellation_of_a_run_that_fails_meanwhile_ends_with_it(world: World) -> None:
    """It was the last attempt; the wish must not wait for the day on which the run is asked for again."""
    world.policy = a_policy(attempts_max=1)
    world.arrive(a_drop())
    run = step_until(world, RunState.RUNNING)
    world.orchestrator.phases[run.name] = Phase.FAILED
    with Ledger(world.url) as ledger:
        observe, left = world.orchestrator.observe, [True]

        def cancel_then_observe(names: Any) -> Any:  # noqa: ANN401 - the role's call
            if left:
                left.pop()
                ledger.request_cancel(run, "ann: wrong month")
            return observe(names)

        world.orchestrator.observe = cancel_then_observe  # type: ignore[method-assign]
        world.reconciler(ledger, Countdown()).step()
        failed = ledger.run(run.key)
        assert (failed.state, failed.ending) == (RunState.FAILED, None)
        ledger.record([an_operator_event(a_drop())], world.now)
    world.orchestrator.observe = observe  # type: ignore[method-assign]
    world.live()
    assert state_of(world, run) is RunState.PROMOTED


def test_version_of_a_run_whose_bytes_changed_under_its_second_attempt_is_no_longer_called_canceled(world: World) -> None:
    """The first attempt was cancelled, the second asked for; then the bytes were gone before anybody recorded newer ones."""
    world.arrive(a_drop())
    run = step_until(world, RunState.RUNNING)
    world.proceed()
    run = step_until(world, RunState.TRAINED)
    with Ledger(world.url) as ledger:
        ledger.request_cancel(run, "ann: wrong month")
    world.live()
    assert world.registry.tags["1"]["validation_status"] == "canceled"
    with Ledger(world.url) as ledger:
        ledger.record([an_operator_event(a_drop())], world.now)
    run = step_until(world, RunState.RUNNING)
    changed = Failure(attempt=run.attempt, step="load", kind="drop_changed", reason="it holds other bytes")
    world.registry.failures[run.key] = changed
    world.orchestrator.phases[run.name] = Phase.FAILED
    world.live()
    assert state_of(world, run) is RunState.SUPERSEDED
    assert world.registry.tags["1"]["validation_status"] == "superseded"


@pytest.mark.parametrize("moved", ["previous-champion", "champion"])
def test_crash_between_the_two_aliases_of_a_promotion_converges(world: World, moved: str) -> None:
    """The next life finds one of them moved, completes the pair and suspects nobody."""
    world.arrive(a_drop("2025-03"))
    world.live()
    original = world.registry.point
    left = [moved]

    def point(alias: str, version: str) -> None:
        original(alias, version)
        if alias in left:
            left.clear()
            raise Crash

    world.registry.point = point  # type: ignore[method-assign]
    world.arrive(a_drop("2025-05"))
    with pytest.raises(Crash):
        world.live()
    assert not left
    world.live()
    assert world.registry.aliases == {"champion": "2", "previous-champion": "1"}
    assert world.states() == {"2025-03": RunState.PROMOTED, "2025-05": RunState.PROMOTED}
    assert "champion_moved_externally" not in world.events()
