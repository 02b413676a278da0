"""Promotions that wait for a person, in the real reconciler and ledger; the process dies at every possible place."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.builders import MODEL, a_drop, a_policy
from tests.emulators.fixtures import on_every_database
from tests.integration.test_reconciler import Countdown, Crash, World
from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.errors import PermanentError
from trainer_daemon.policy.answers import Answer
from trainer_daemon.policy.runs import Run, RunState

APPROVAL = a_policy(promotion=replace(a_policy().promotion, mode="approval", approval_expiry_days=7))


@pytest.fixture
def world(usual_ledger_url: str) -> World:
    """An empty world in which promotions need approval."""
    return World(usual_ledger_url, policy=APPROVAL)


def live(world: World, countdown: Countdown | None = None) -> None:
    """One life of the process: until only a person can do anything, or until it crashes."""
    with Ledger(world.url) as ledger:
        reconciler = world.reconciler(ledger, countdown or Countdown())
        for _ in range(300):
            wait = reconciler.step()
            if wait is None:
                continue
            if wait.idle or (wait.until is None and not wait.polling):
                return
            world.proceed()
        pytest.fail("the reconciler does not come to rest")


def answer(world: World, period: str, *, approved: bool = True) -> None:
    """Ann has a word about the run of a month."""
    with Ledger(world.url) as ledger:
        run = next(run for run in ledger.live_runs(MODEL) if run.period == period)
        ledger.answer(run, Answer(approved=approved, by="ann", reason="seen", at=world.now))


def waiting(world: World) -> dict[str, Run]:
    """The runs that wait, by month."""
    with Ledger(world.url) as ledger:
        return {run.period: run for run in ledger.live_runs(MODEL) if run.state is RunState.AWAITING_APPROVAL}


@on_every_database
def test_nothing_moves_before_the_approval_and_everything_after_it(world: World) -> None:
    """Later drops are trained meanwhile."""
    world.arrive(a_drop("2025-03"), a_drop("2025-05"))
    live(world)
    assert (world.registry.aliases, set(waiting(world))) == ({}, {"2025-03", "2025-05"})
    answer(world, "2025-05")
    live(world)
    assert world.registry.aliases == {"champion": "2"}
    assert world.registry.tags["2"]["validation_status"] == "approved"
    assert "approved by ann: seen" in world.registry.tags["2"]["trainer.decision"]
    assert {"approval_requested", "candidate_promoted"} <= world.events()


def test_candidate_that_waited_while_another_became_champion_is_evaluated_again(world: World) -> None:
    """March was better than nobody; now it has to be better than May, than which it is older."""
    world.arrive(a_drop("2025-03"), a_drop("2025-05"))
    live(world)
    answer(world, "2025-05")
    live(world)
    assert world.states() == {"2025-03": RunState.REJECTED, "2025-05": RunState.PROMOTED}
    assert "run_reevaluated" in world.events()


def test_rejection_marks_the_version_and_keeps_the_champion(world: World) -> None:
    """With who and why."""
    world.arrive(a_drop())
    live(world)
    answer(world, "2025-03", approved=False)
    live(world)
    assert (world.registry.aliases, world.states()) == ({}, {"2025-03": RunState.REJECTED})
    assert world.registry.tags["1"]["validation_status"] == "rejected"
    with Ledger(world.url) as ledger:
        assert ledger.run(next(iter(world.registry.versions))).error == "rejected by ann: seen"


def test_approval_that_nobody_gave_expires(world: World) -> None:
    """In the first look after its time."""
    world.arrive(a_drop())
    live(world)
    world.now += timedelta(days=6, hours=23)
    live(world)
    assert set(waiting(world)) == {"2025-03"}
    world.now += timedelta(hours=1)
    live(world)
    assert world.states() == {"2025-03": RunState.REJECTED}


def test_version_that_is_gone_fails_its_run_and_blocks_nothing(world: World) -> None:
    """The registry refuses, and would refuse again."""

    def refuse(*_: object, **__: object) -> str:
        message = "version 1 does not exist"
        raise PermanentError(message)

    world.arrive(a_drop())
    live(world)
    answer(world, "2025-03")
    world.registry.promote = refuse  # type: ignore[method-assign]
    live(world)
    assert (world.states(), waiting(world)) == ({"2025-03": RunState.FAILED}, {})


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("approved", [True, False])
def test_crash_at_any_place_converges(tmp_path: Path, *, after: bool, approved: bool) -> None:
    """Whatever the process was doing when it died, before the answer or after it."""
    ended = {"2025-03": RunState.PROMOTED if approved else RunState.REJECTED}
    for left in range(1, 100):
        world = World(f"sqlite:///{tmp_path / f'{left}.db'}", policy=APPROVAL)
        world.arrive(a_drop("2025-03"))
        countdown = Countdown(left=left, after=after)
        crashed = crashes(world, countdown)
        live(world)
        answer(world, "2025-03", approved=approved)
        crashed = crashes(world, countdown) or crashed
        live(world)
        assert world.states() == ended
        assert world.registry.moves == ([("", "1")] if approved else [])
        assert "champion_moved_externally" not in world.events()
        if not crashed:
            break
    assert not crashed
    assert left > 8


def crashes(world: World, countdown: Countdown) -> bool:
    """Whether a life ends in a crash."""
    try:
        live(world, countdown)
    except Crash:
        return True
    return False
