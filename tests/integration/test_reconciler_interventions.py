"""What people ask for about the champion, in the real reconciler and ledger; the process dies at every possible place."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.builders import MODEL, a_drop, a_policy, an_intervention
from tests.emulators.fixtures import on_every_database
from tests.integration.test_reconciler import Countdown, Crash, World
from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.adapters.ledger.history import History, open_history
from trainer_daemon.adapters.ledger.notices import Notices
from trainer_daemon.errors import PermanentError, TemporaryError
from trainer_daemon.policy.answers import Answer
from trainer_daemon.policy.interventions import Intervention
from trainer_daemon.policy.marks import INTERVENTION_TAG, ROLLED_BACK_TAG
from trainer_daemon.policy.notices import Addressee, NoticeKind
from trainer_daemon.policy.runs import Run, RunState

APPROVAL = a_policy(promotion=replace(a_policy().promotion, mode="approval", approval_expiry_days=7))


@pytest.fixture
def world(usual_ledger_url: str) -> World:
    """Version 2 of May has replaced version 1 of March."""
    return two_champions(usual_ledger_url)


def two_champions(url: str) -> World:
    """A world in which two months were trained and promoted."""
    made = World(url)
    made.arrive(a_drop("2025-03"), a_drop("2025-05"))
    made.live()
    assert made.registry.aliases == {"champion": "2", "previous-champion": "1"}
    return made


def ask(world: World, *interventions: Intervention) -> None:
    """People ask, one after the other."""
    with Ledger(world.url) as ledger:
        for each in interventions:
            ledger.ask(each)


def history(world: World) -> History:
    """What the ledger remembers."""
    found = open_history(world.url)
    assert found
    return found


def outcomes(world: World) -> list[tuple[str, str]]:
    """What came of everything that people asked for, and why not."""
    with history(world) as past:
        return [(each.outcome, each.why) for each in past.interventions(MODEL)]


def reigns(world: World) -> list[tuple[str, str]]:
    """Version and cause of every champion."""
    with history(world) as past:
        return [(reign.version, reign.cause) for reign in past.reigns(MODEL)]


def run_of(world: World, version: str) -> Run:
    """The run that made a version."""
    with history(world) as past:
        return next(run for run in past.runs(MODEL) if run.model_version == version)


def rest(world: World, countdown: Countdown | None = None) -> None:
    """One life of the process: until only a person can do anything."""
    with Ledger(world.url) as ledger:
        reconciler = world.reconciler(ledger, countdown or Countdown())
        for _ in range(300):
            wait = reconciler.step()
            if wait is not None and (wait.idle or (wait.until is None and not wait.polling)):
                return
            if wait is not None:
                world.proceed()
        pytest.fail("the reconciler does not come to rest")


def is_restored(world: World) -> bool:
    """Whether ann's rollback has happened, everywhere, once."""
    tags, aliases = world.registry.tags, world.registry.aliases
    return (
        aliases == {"champion": "1", "previous-champion": "2"}
        and world.states() == {"2025-03": RunState.PROMOTED, "2025-05": RunState.REJECTED}
        and tags["2"][ROLLED_BACK_TAG].startswith("rolled back by ann: scores are off (")
        and (tags["2"]["validation_status"], tags["1"]["validation_status"]) == ("rejected", "approved")
        and ": rolled back by ann: scores are off." in world.registry.cards["2"].splitlines()[0]
        and ": restored by ann in place of version 2: scores are off." in world.registry.cards["1"].splitlines()[0]
        and reigns(world)[-2:] == [("2", "promoted"), ("1", "rollback")]
        and outcomes(world) == [("done", "")]
    )


@on_every_database
def test_rollback_is_one_recorded_action(world: World) -> None:
    """Aliases, marks, states, champion, who and why."""
    ask(world, an_intervention())
    rest(world)
    assert is_restored(world)
    assert run_of(world, "2").error == "rolled back by ann: scores are off"
    (line,) = [call.kwargs for call in world.log.calls if call.kwargs["event"] == "champion_rolled_back"]
    assert (line["model_version"], line["previous_version"], line["by"], line["reason"]) == ("1", "2", "ann", "scores are off")
    with history(world) as past:
        last = past.transitions(run_of(world, "2").key)[-1]
    assert (last.from_state, last.to_state, last.by) == ("PROMOTED", "REJECTED", "ann")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_crash_at_any_place_of_a_rollback_converges(tmp_path: Path, *, after: bool) -> None:
    """Whatever the process was doing when it died; nobody's hand is suspected."""
    crashes = 0
    for left in range(1, 8):
        world = two_champions(f"sqlite:///{tmp_path / f'{left}.db'}")
        ask(world, an_intervention())
        try:
            rest(world, Countdown(left=left, after=after))
        except Crash:
            crashes += 1
            rest(world)
        assert is_restored(world)
        assert "champion_moved_externally" not in world.events()
    assert crashes == 6


@pytest.mark.parametrize("moved", ["previous-champion", "champion"])
def test_crash_between_the_two_aliases_of_a_rollback_converges(world: World, moved: str) -> None:
    """The next life finds one of them moved and completes the pair."""
    original, left = world.registry.point, [moved]

    def point(alias: str, version: str) -> None:
        original(alias, version)
        if alias in left:
            left.clear()
            raise Crash

    world.registry.point = point  # type: ignore[method-assign]
    ask(world, an_intervention())
    with pytest.raises(Crash):
        rest(world)
    rest(world)
    assert is_restored(world)
    assert "champion_moved_externally" not in world.events()


def test_two_people_who_take_back_the_same_version_take_it_back_once(world: World) -> None:
    """The second one comes too late, and does not undo what the first one restored."""
    ask(world, an_intervention(), an_intervention(by="bob"))
    rest(world)
    assert outcomes(world) == [("done", ""), ("refused", "version 1 is champion already")]
    assert reigns(world)[-1] == ("1", "rollback")
    assert "intervention_refused" in world.events()


def test_rollback_of_whom_somebody_has_replaced_meanwhile_is_refused(world: World) -> None:
    """The person saw another champion; nobody is barred."""
    world.registry.versions["foreign"] = "9"
    world.registry.aliases["champion"] = "9"
    ask(world, an_intervention())
    rest(world)
    assert outcomes(world) == [("refused", "version 2 is not champion any more, version 9 is")]
    assert world.registry.aliases["champion"] == "9"
    assert ROLLED_BACK_TAG not in world.registry.tags["2"]


def test_requests_come_one_after_the_other(world: World) -> None:
    """In the order in which they were written down."""
    third = an_intervention("promote", version="2", replaces="1", by="bob")
    ask(world, an_intervention(), third, an_intervention(reason="no, really"))
    rest(world)
    assert [outcome for outcome, _ in outcomes(world)] == ["done", "done", "done"]
    assert reigns(world)[-3:] == [("1", "rollback"), ("2", "forced"), ("1", "rollback")]
    assert "no, really" in world.registry.tags["2"][ROLLED_BACK_TAG]


@on_every_database
def test_promotion_by_force_is_one_recorded_action_and_lifts_the_bar(world: World) -> None:
    """Who brings back what was taken back says so, and the run follows."""
    ask(world, an_intervention(), an_intervention("promote", version="2", replaces="1", by="bob", reason="it was the feed"))
    rest(world)
    assert world.registry.aliases == {"champion": "2", "previous-champion": "1"}
    tags = world.registry.tags["2"]
    assert (tags[ROLLED_BACK_TAG], tags["validation_status"]) == ("", "approved")
    assert tags[INTERVENTION_TAG].startswith("promoted by bob: it was the feed (")
    assert ": promoted by bob: it was the feed." in world.registry.cards["2"].splitlines()[0]
    run = run_of(world, "2")
    assert (run.state, run.error) == (RunState.PROMOTED, "promoted by bob: it was the feed")
    assert "champion_promoted_by_operator" in world.events()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_crash_at_any_place_of_a_promotion_by_force_converges(tmp_path: Path, *, after: bool) -> None:
    """The version of a run that was rejected becomes champion, once."""
    for left in range(1, 6):
        world = two_champions(f"sqlite:///{tmp_path / f'{left}.db'}")
        ask(world, an_intervention())
        rest(world)
        ask(world, an_intervention("promote", version="2", replaces="1"))
        try:
            rest(world, Countdown(left=left, after=after))
        except Crash:
            rest(world)
        assert world.registry.aliases == {"champion": "2", "previous-champion": "1"}
        assert reigns(world)[-2:] == [("1", "rollback"), ("2", "forced")]
        assert "champion_moved_externally" not in world.events()


def test_version_that_does_not_exist_is_refused_and_nothing_waits_for_ever(world: World) -> None:
    """The registry says so; the next request goes on."""
    original = world.registry.move_champion

    def move(model: str, version: str, *, expected: str) -> str:
        if version == "7":
            message = "mlflow: RESOURCE_DOES_NOT_EXIST"
            raise PermanentError(message)
        return original(model, version, expected=expected)

    world.registry.move_champion = move  # type: ignore[method-assign]
    ask(world, an_intervention("promote", version="7"), an_intervention())
    rest(world)
    assert outcomes(world) == [("refused", "mlflow: RESOURCE_DOES_NOT_EXIST"), ("done", "")]


def test_person_does_not_wait_for_an_orchestrator_that_is_down(world: World) -> None:
    """A run is under way that nobody can look at."""

    def away(*_: object) -> Any:  # noqa: ANN401 - raises
        message = "no answer"
        raise TemporaryError(message)

    world.arrive(a_drop("2025-06"))
    with Ledger(world.url) as ledger:
        reconciler = world.reconciler(ledger, Countdown())
        while len(world.orchestrator.requests) < 3:
            reconciler.step()
        world.orchestrator.observe = away  # type: ignore[method-assign, assignment]
        ledger.ask(an_intervention())
        assert reconciler.step() is None
        with pytest.raises(TemporaryError):
            reconciler.step()
    assert world.registry.aliases["champion"] == "1"


def test_rollback_is_told_once_to_who_wants_to_know(world: World) -> None:
    """In the transaction in which it is written down; that a run's state moves with it is no news of its own."""
    kinds = frozenset({NoticeKind.CHAMPION_ROLLED_BACK, NoticeKind.CANDIDATE_REJECTED})
    with Ledger(world.url, Notices([Addressee(name="rollbacks", kinds=kinds)])) as ledger:
        ledger.ask(an_intervention())
        assert world.reconciler(ledger, Countdown()).step() is None
    with history(world) as past:
        (waiting,) = past.waiting(["rollbacks"])
    assert waiting.number == 1
    assert is_restored(world)


# what was taken back stays away


def test_newer_run_may_replace_what_was_restored(world: World) -> None:
    """Only the run that was taken back is barred."""
    ask(world, an_intervention())
    rest(world)
    world.arrive(a_drop("2025-06"))
    world.live()
    assert world.registry.aliases == {"champion": "3", "previous-champion": "1"}


def test_lost_ledger_does_not_bring_back_what_was_taken_back(world: World, tmp_path: Path) -> None:
    """The mark on the version is enough, whatever its decision says and however often it was judged."""
    ask(world, an_intervention())
    rest(world)
    world.url = f"sqlite:///{tmp_path / 'another.db'}"
    world.arrive(a_drop("2025-03"), a_drop("2025-05"))
    world.live()
    assert world.states() == {"2025-03": RunState.PROMOTED, "2025-05": RunState.REJECTED}
    assert world.registry.aliases["champion"] == "1"
    decision = run_of(world, "2").decision
    assert decision
    assert decision.reasons[0].startswith("version 2 was rolled back by ann: scores are off")


def test_lost_ledger_that_finds_nothing_on_the_orchestrator_does_not_either(world: World, tmp_path: Path) -> None:
    """It trains the same key again, finds the same version, and judges it."""
    ask(world, an_intervention())
    rest(world)
    world.orchestrator.requests.clear()
    world.orchestrator.phases.clear()
    world.registry.tags["2"].pop("trainer.decision")
    world.url = f"sqlite:///{tmp_path / 'another.db'}"
    world.arrive(a_drop("2025-05"))
    world.live()
    assert run_of(world, "2").state is RunState.REJECTED
    assert world.registry.aliases["champion"] == "1"


def test_approved_version_that_another_ledger_took_back_meanwhile_is_rejected(tmp_path: Path) -> None:
    """It waited with its decision, so nobody judges it again: the registry refuses, and the run is rejected, not failed."""
    world = World(f"sqlite:///{tmp_path / 'ledger.db'}", policy=APPROVAL)
    world.arrive(a_drop("2025-03"))
    rest(world)
    world.registry.record_decision(MODEL, "1", {ROLLED_BACK_TAG: "rolled back by ann: scores are off"})
    with Ledger(world.url) as ledger:
        (run,) = ledger.live_runs(MODEL)
        ledger.answer(run, Answer(approved=True, by="bob", reason="fine", at=world.now))
    rest(world)
    run = run_of(world, "1")
    assert (run.state, run.error) == (RunState.REJECTED, "version 1 was rolled back by ann: scores are off")
    assert (world.registry.aliases, world.registry.tags["1"]["validation_status"]) == ({}, "rejected")


def test_waiting_run_whose_version_was_put_there_and_taken_back_waits_no_longer(tmp_path: Path) -> None:
    """Its approval would be about a version that a person rejected."""
    world = World(f"sqlite:///{tmp_path / 'ledger.db'}")
    world.arrive(a_drop("2025-03"))
    world.live()
    world.policy = APPROVAL
    world.arrive(a_drop("2025-05"))
    rest(world)
    ask(world, an_intervention("promote", version="2", replaces="1"), an_intervention())
    rest(world)
    assert run_of(world, "2").state is RunState.REJECTED
    assert world.registry.aliases == {"champion": "1", "previous-champion": "2"}
    with history(world) as past:
        moved = [(move.to_state, move.by) for move in past.transitions(run_of(world, "2").key)]
    assert moved[-3:] == [("AWAITING_APPROVAL", "daemon"), ("PROMOTED", "ann"), ("REJECTED", "ann")]


def test_superseded_run_that_is_wanted_again_does_not_bring_back_what_was_taken_back(world: World) -> None:
    """Forced, taken back, and its bytes come back: the same run is evaluated again, and rejected."""
    world.arrive(a_drop("2025-06"))
    with Ledger(world.url) as ledger:
        reconciler = world.reconciler(ledger, Countdown())
        while len(world.orchestrator.requests) < 3 or ledger.live_runs(MODEL)[0].state is not RunState.TRAINED:
            reconciler.step()
            world.proceed()
    world.arrive(a_drop("2025-06", content="b", generation="2"))
    rest(world)
    assert (run_of(world, "3").state, world.registry.aliases["champion"]) == (RunState.SUPERSEDED, "4")
    ask(world, an_intervention("promote", version="3"), an_intervention(version="4", replaces="3"))
    rest(world)
    assert (run_of(world, "3").state, world.registry.aliases["champion"]) == (RunState.SUPERSEDED, "4")
    world.arrive(a_drop("2025-06", generation="3"))
    world.live()
    assert run_of(world, "3").state is RunState.REJECTED
    assert world.registry.aliases["champion"] == "4"
