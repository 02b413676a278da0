"""The next action for every look that matters."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.builders import (
    NOW,
    a_champion,
    a_decision,
    a_drop,
    a_drop_event,
    a_policy,
    a_run,
    a_snapshot,
    an_evaluation,
    an_operator_event,
    an_outcome,
)
from trainer_daemon.policy.actions import Advance, Condemn, Doom, End, Judge, NoteChampion, Promote, Reject, Submit, Wait
from trainer_daemon.policy.decide import Wanted, decide, wanted
from trainer_daemon.policy.observations import Failure, Observation, Phase, Verdict
from trainer_daemon.policy.plan import Enqueue, Pending, Proposal
from trainer_daemon.policy.runs import RunState

RUNNING = a_run(RunState.RUNNING)
TRAINED = a_run(RunState.TRAINED)


def seen(phase: Phase, reason: str = "") -> Observation:
    """The orchestrator's word on the running run."""
    return Observation(name=RUNNING.name, phase=phase, run_id="r", reason=reason)


def test_nothing_to_do_waits_for_an_event() -> None:
    """Without a deadline."""
    assert decide(a_snapshot(), NOW) == Wait()


def test_first_of_the_backlog_is_submitted_against_the_known_champion() -> None:
    """By period, then arrival."""
    march, may = a_run(), a_run(RunState.QUEUED, a_drop("2025-05"))
    assert decide(a_snapshot(march, may), NOW) == Submit(run=march, champion=a_champion())


def test_first_model_is_submitted_without_a_champion() -> None:
    """The registry was asked, and there is nobody."""
    assert decide(a_snapshot(a_run(), known_champion=a_champion("")), NOW) == Submit(run=a_run(), champion=None)


def test_registry_is_asked_before_the_first_submission_and_when_a_look_is_due() -> None:
    """Otherwise the ledger knows."""
    assert wanted(a_snapshot(a_run(), known_champion=None), NOW) == Wanted(champion=True)
    assert wanted(a_snapshot(a_run()), NOW) == Wanted()
    assert wanted(a_snapshot(champion_due=True), NOW) == Wanted(champion=True)


def test_retry_in_its_backoff_is_not_overtaken() -> None:
    """Later months wait for it, since their decision needs its champion."""
    later = NOW + timedelta(seconds=30)
    runs = (a_run(ready_at=later), a_run(RunState.QUEUED, a_drop("2025-05")))
    assert decide(a_snapshot(*runs), NOW) == Wait(until=later)
    assert isinstance(decide(a_snapshot(*runs), later), Submit)


def test_no_slot_no_submission() -> None:
    """Other models use all of them."""
    assert decide(a_snapshot(a_run(), slots=0), NOW) == Wait(polling=True)


@pytest.mark.parametrize("phase", [Phase.PENDING, Phase.RUNNING, Phase.UNKNOWN])
def test_running_run_is_watched(phase: Phase) -> None:
    """A state that nobody knows is not taken for an end."""
    snapshot = a_snapshot(RUNNING)
    assert wanted(snapshot, NOW) == Wanted(orchestrator=True)
    assert decide(replace(snapshot, observation=seen(phase)), NOW) == Wait(polling=True)


def test_next_month_waits_while_a_run_is_open() -> None:
    """Runs of one model go one after another."""
    snapshot = a_snapshot(RUNNING, a_run(RunState.QUEUED, a_drop("2025-05")), observation=seen(Phase.RUNNING))
    assert decide(snapshot, NOW) == Wait(polling=True)


def test_success_makes_it_trained() -> None:
    """With what it left."""
    action = decide(a_snapshot(RUNNING, observation=seen(Phase.SUCCEEDED), outcome=an_outcome()), NOW)
    assert isinstance(action, Advance)
    assert (action.to, action.outcome) == (RunState.TRAINED, an_outcome())


def test_bad_drop_is_quarantined_with_its_sentence() -> None:
    """And never retried."""
    failure = Failure(attempt=1, step="load", kind="bad_drop", reason="no column Churn")
    run = a_run(RunState.RUNNING, champion_version="1")
    snapshot = a_snapshot(run, observation=seen(Phase.FAILED), outcome=an_outcome(failure=failure))
    action = decide(replace(snapshot, champion=(a_champion(),)), NOW)
    assert action == Advance(run=run, to=RunState.QUARANTINED, why="no column Churn")


@pytest.mark.parametrize(("blamed", "condemned"), [("2025-02", True), ("2025-03", False), ("2025-01", False)])
def test_bad_drop_that_the_failure_names_is_blamed(blamed: str, condemned: bool) -> None:  # noqa: FBT001 - a parameter
    """An earlier month of the window is condemned, and the run is not; what is not in the window says nothing."""
    earlier, own = a_drop("2025-02"), a_drop("2025-03")
    run = a_run(RunState.RUNNING, earlier, own, champion_version="1")
    failure = Failure(attempt=1, step="load", kind="bad_drop", reason="no column Churn", drop=a_drop(blamed).ref)
    seen_failing = replace(seen(Phase.FAILED), name=run.name)
    snapshot = a_snapshot(run, observation=seen_failing, outcome=an_outcome(failure=failure), champion=(a_champion(),))
    quarantine = Advance(run=run, to=RunState.QUARANTINED, why="no column Churn")
    assert decide(snapshot, NOW) == (Condemn(run=run, drop=earlier, why="no column Churn") if condemned else quarantine)


def test_drop_held_against_a_champion_who_is_none_any_more_is_tried_again() -> None:
    """Its columns may fit the champion of now."""
    failure = Failure(attempt=1, step="load", kind="bad_drop", reason="columns changed")
    run = a_run(RunState.RUNNING, champion_version="0")
    snapshot = a_snapshot(run, observation=seen(Phase.FAILED), outcome=an_outcome(failure=failure), champion=(a_champion(),))
    action = decide(snapshot, NOW)
    assert isinstance(action, Advance)
    assert (action.to, action.next_attempt) == (RunState.QUEUED, True)


def test_drop_that_changed_under_its_run_supersedes_it() -> None:
    """It costs no attempt, and the same bytes can come back."""
    failure = Failure(attempt=1, step="load", kind="drop_changed", reason="it is gone")
    action = decide(a_snapshot(RUNNING, observation=seen(Phase.FAILED), outcome=an_outcome(failure=failure)), NOW)
    assert action == Advance(run=RUNNING, to=RunState.SUPERSEDED, why="it is gone")


def test_change_that_an_adopted_run_of_an_earlier_upload_met_is_no_word_about_this_one() -> None:
    """The ledger that knew of both uploads was lost; the bytes came back, and nothing else would be trained for them."""
    failure = Failure(attempt=1, step="load", kind="drop_changed", reason="it is gone", drop=f"{RUNNING.drop.uri}#0")
    snapshot = a_snapshot(RUNNING, observation=seen(Phase.FAILED), outcome=an_outcome(failure=failure))
    assert decide(snapshot, NOW) == Advance(run=RUNNING, to=RunState.FAILED, why="it is gone")
    own = an_outcome(failure=replace(failure, drop=RUNNING.drop.ref))
    assert decide(replace(snapshot, outcome=own), NOW) == Advance(run=RUNNING, to=RunState.SUPERSEDED, why="it is gone")


def test_drop_that_changed_and_is_back_by_now_is_tried_again() -> None:
    """The same bytes were uploaded once more after the run had begun, so nothing else will be trained for them."""
    failure = Failure(attempt=1, step="load", kind="drop_changed", reason="it is gone")
    snapshot = a_snapshot(RUNNING, observation=seen(Phase.FAILED), outcome=an_outcome(failure=failure))
    current = {RUNNING.drop.uri: replace(RUNNING.drop, generation="3")}
    assert decide(replace(snapshot, current=current), NOW) == Advance(run=RUNNING, to=RunState.FAILED, why="it is gone")


def test_window_of_which_another_month_changed_is_tried_again() -> None:
    """Its own drop gets no other run by that; once the newer bytes of the other month are known, the window is made anew."""
    run = a_run(RunState.RUNNING, a_drop("2025-04"), a_drop("2025-05"))
    failure = Failure(attempt=1, step="load", kind="drop_changed", reason="2025-04 is gone")
    action = decide(a_snapshot(run, observation=seen(Phase.FAILED), outcome=an_outcome(failure=failure)), NOW)
    assert action == Advance(run=run, to=RunState.FAILED, why="2025-04 is gone")


def test_drop_in_the_window_that_turned_out_bad_makes_room_for_another_run() -> None:
    """The good drop is still wanted, without the bad one."""
    bad, good = a_drop("2025-04"), a_drop("2025-05")
    run = a_run(RunState.QUEUED, bad, good)
    action = decide(a_snapshot(run, bad=frozenset({(bad.uri, bad.checksum)})), NOW)
    assert isinstance(action, End)
    assert (action.to, action.again) == (RunState.SUPERSEDED, True)


@pytest.mark.parametrize(
    ("failure", "why"),
    [
        (None, "exit 1"),
        (Failure(attempt=2, step="load", kind="bad_drop", reason="of another attempt"), "exit 1"),
        (Failure(attempt=1, step="train_model", kind="error", reason="out of memory"), "train_model: out of memory"),
    ],
)
def test_other_failures_fail_with_the_best_known_reason(failure: Failure | None, why: str) -> None:
    """The step's own words when they are about this attempt, else the orchestrator's."""
    action = decide(a_snapshot(RUNNING, observation=seen(Phase.FAILED, "exit 1"), outcome=an_outcome(failure=failure)), NOW)
    assert action == Advance(run=RUNNING, to=RunState.FAILED, why=why)


def test_failed_run_is_queued_again_with_growing_backoff() -> None:
    """The same run, the next attempt."""
    for attempt, delay_s in [(1, 10), (2, 20)]:
        action = decide(a_snapshot(a_run(RunState.FAILED, attempt=attempt)), NOW)
        assert isinstance(action, Advance)
        assert (action.to, action.next_attempt, action.retry_at) == (RunState.QUEUED, True, NOW + timedelta(seconds=delay_s))


def test_vanished_run_is_queued_again_as_the_same_attempt() -> None:
    """It is not the run's fault."""
    action = decide(a_snapshot(RUNNING, observation=seen(Phase.VANISHED)), NOW)
    assert isinstance(action, Advance)
    assert (action.to, action.next_attempt) == (RunState.QUEUED, False)


def test_run_cancelled_on_the_orchestrator_is_cancelled() -> None:
    """Waiting for it would never end."""
    action = decide(a_snapshot(RUNNING, observation=seen(Phase.CANCELED)), NOW)
    assert isinstance(action, Advance)
    assert action.to is RunState.CANCELED


def test_running_run_of_replaced_bytes_is_doomed_before_it_is_ended() -> None:
    """The intent is written first, and holds even when the same bytes come back meanwhile."""
    newer = a_drop(content="b", generation="2")
    assert decide(a_snapshot(RUNNING, current={newer.uri: newer}), NOW) == Doom(
        run=RUNNING, ending=RunState.SUPERSEDED, why=f"newer bytes arrived: {newer.ref}"
    )
    doomed = a_run(RunState.RUNNING, ending=RunState.SUPERSEDED, ending_reason="newer bytes")
    assert decide(a_snapshot(doomed), NOW) == End(run=doomed, to=RunState.SUPERSEDED, why="newer bytes", again=True)
    still_newer = a_snapshot(doomed, current={newer.uri: newer})
    assert decide(still_newer, NOW) == End(run=doomed, to=RunState.SUPERSEDED, why="newer bytes")


@pytest.mark.parametrize("state", [RunState.QUEUED, RunState.TRAINED, RunState.AWAITING_APPROVAL])
def test_newer_bytes_supersede_a_run_in_every_state(state: RunState) -> None:
    """Even when it finished first."""
    run = a_run(state)
    newer = a_drop(content="b", generation="2")
    action = decide(a_snapshot(run, current={newer.uri: newer}), NOW)
    assert isinstance(action, End)
    assert (action.run, action.to) == (run, RunState.SUPERSEDED)
    assert newer.ref in action.why


def test_touched_file_with_the_same_bytes_supersedes_nothing() -> None:
    """Identity is content."""
    touched = a_drop(generation="2")
    assert isinstance(decide(a_snapshot(a_run(), current={touched.uri: touched}), NOW), Submit)


def test_asked_for_cancellation_ends_the_run() -> None:
    """Before anything else happens to it."""
    run = a_run(RunState.RUNNING, ending=RunState.CANCELED, ending_reason="ann: wrong month")
    assert decide(a_snapshot(run), NOW) == End(run=run, to=RunState.CANCELED, why="ann: wrong month")


def test_newest_backlog_supersedes_older_waiting_months_only() -> None:
    """A month that runs already is finished."""
    running, march, june = RUNNING, a_run(RunState.QUEUED, a_drop("2025-04")), a_run(RunState.QUEUED, a_drop("2025-06"))
    snapshot = a_snapshot(running, march, june, policy=a_policy(backlog="newest"))
    action = decide(snapshot, NOW)
    assert isinstance(action, End)
    assert (action.run, action.to) == (march, RunState.SUPERSEDED)
    assert decide(replace(snapshot, runs=(running, june)), NOW) == Wait(polling=True)


def test_newest_backlog_leaves_what_an_operator_asked_for() -> None:
    """Somebody wants that older month."""
    march = a_run(RunState.QUEUED, a_drop("2025-04"), event_id=an_operator_event().id)
    june = a_run(RunState.QUEUED, a_drop("2025-06"), sequence=2)
    action = decide(a_snapshot(march, june, policy=a_policy(backlog="newest")), NOW)
    assert isinstance(action, Submit)
    assert action.run == march


def test_events_are_planned_before_the_next_submission() -> None:
    """What arrived may supersede it, or come before it."""
    event = a_drop_event(a_drop("2025-01"))
    waiting = Pending(event=event, current=event.drop, proposal=Proposal(drops=(a_drop("2025-01"),), key="k"))
    assert isinstance(decide(a_snapshot(a_run(), pending=waiting), NOW), Enqueue)


def test_trained_run_is_judged_then_promoted() -> None:
    """The decision is written before anybody acts on it."""
    snapshot = a_snapshot(TRAINED, champion=(a_champion(),), outcome=an_outcome())
    assert wanted(snapshot, NOW) == Wanted(outcome=True, champion=True)
    action = decide(snapshot, NOW)
    assert isinstance(action, Judge)
    assert action.decision.verdict is Verdict.PROMOTE
    decided = replace(TRAINED, decision=action.decision)
    assert decide(a_snapshot(decided, champion=(a_champion(),)), NOW) == Promote(run=decided, decision=action.decision)


def test_recorded_rejection_is_carried_out_whoever_is_champion() -> None:
    """It needs no compare-and-set."""
    decision = a_decision(Verdict.REJECT)
    run = replace(TRAINED, decision=decision)
    assert decide(a_snapshot(run, champion=(a_champion(),)), NOW) == Reject(run=run, decision=decision)


def test_crash_after_the_alias_moved_is_finished_not_suspected() -> None:
    """The recorded decision wanted the alias where it is."""
    run = replace(TRAINED, decision=a_decision())
    snapshot = a_snapshot(run, champion=(a_champion("2"),))
    assert decide(snapshot, NOW) == Promote(run=run, decision=a_decision(), has_moved=True)
    newer = a_drop(content="b", generation="2")
    assert decide(replace(snapshot, current={newer.uri: newer}), NOW) == Promote(run=run, decision=a_decision(), has_moved=True)


def test_champion_that_moved_meanwhile_is_noted_then_the_evidence_is_made_again() -> None:
    """Both before the judgement and after it."""
    moved = (a_champion("7"),)
    for run in (TRAINED, replace(TRAINED, decision=a_decision())):
        snapshot = a_snapshot(run, champion=moved, outcome=an_outcome())
        assert decide(snapshot, NOW) == NoteChampion(champion=a_champion("7"))
        action = decide(replace(snapshot, known_champion=a_champion("7")), NOW)
        assert isinstance(action, Advance)
        assert (action.to, action.next_attempt) == (RunState.QUEUED, True)


def test_alias_that_was_taken_away_is_noted() -> None:
    """Nobody is champion any more."""
    assert decide(a_snapshot(champion=(None,)), NOW) == NoteChampion(champion=None)
    assert decide(a_snapshot(champion=(None,), known_champion=a_champion("")), NOW) == Wait()


def test_candidate_made_champion_by_hand_is_respected() -> None:
    """An operator was faster."""
    snapshot = a_snapshot(TRAINED, champion=(a_champion("2"),), known_champion=a_champion("2"), outcome=an_outcome())
    action = decide(snapshot, NOW)
    assert isinstance(action, Advance)
    assert action.to is RunState.PROMOTED


@pytest.mark.parametrize(
    "outcome",
    [None, an_outcome(evaluation=None), an_outcome(version=""), an_outcome(evaluation=an_evaluation(attempt=7))],
)
def test_trained_run_without_evidence_of_this_attempt_is_rejected(outcome: object) -> None:
    """It must not wait for ever, nor be promoted on old evidence."""
    action = decide(a_snapshot(TRAINED, champion=(a_champion(),), outcome=outcome), NOW)
    assert isinstance(action, Judge)
    assert action.decision.verdict is Verdict.REJECT
