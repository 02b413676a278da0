"""A promotion that waits for a person: asked for, answered, expired, overtaken; and shadow, which asks nobody."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.builders import NOW, a_champion, a_decision, a_drop, a_policy, a_run, a_snapshot, an_evaluation, an_outcome
from trainer_daemon.policy.actions import Advance, Judge, NoteChampion, Promote, Reject, Submit, Wait
from trainer_daemon.policy.answers import Answer
from trainer_daemon.policy.decide import Snapshot, decide, wanted
from trainer_daemon.policy.observations import Observation, Phase, Verdict
from trainer_daemon.policy.promotion import Case, Result, judge
from trainer_daemon.policy.runs import Run, RunState

POLICY = a_policy(promotion=replace(a_policy().promotion, mode="approval", approval_expiry_days=7))
YES = Answer(approved=True, by="ann", reason="looks right", at=NOW)
NO = replace(YES, approved=False, reason="the campaign distorts this month")


def waiting(**changes: object) -> Run:
    """A run whose version 2 passed against champion version 1, and waits."""
    return a_run(RunState.AWAITING_APPROVAL, model_version="2", decision=a_decision(), **changes)


def look(*runs: Run, **changes: object) -> Snapshot:
    """A look at a model whose promotions need approval."""
    return a_snapshot(*runs, policy=POLICY, **changes)


def test_candidate_that_passes_waits_for_a_person() -> None:
    """It says until when."""
    run = a_run(RunState.TRAINED, decision=a_decision())
    action = decide(look(run, champion=(a_champion(),)), NOW)
    assert isinstance(action, Advance)
    assert (action.to, action.why) == (
        RunState.AWAITING_APPROVAL,
        "the rules passed; a person has to approve it until 2026-03-08 12:00 UTC",
    )


def test_candidate_that_fails_asks_nobody() -> None:
    """Rules come first."""
    run = a_run(RunState.TRAINED, decision=a_decision(Verdict.REJECT))
    assert isinstance(decide(look(run, champion=(a_champion(),)), NOW), Reject)


def test_run_that_waits_occupies_nothing() -> None:
    """Later drops are trained meanwhile, against the champion that there is."""
    later = a_run(RunState.QUEUED, a_drop("2025-05"))
    assert decide(look(waiting(), later), NOW) == Submit(run=later, champion=a_champion())


def test_rest_ends_when_the_first_approval_expires_and_counts_as_idle() -> None:
    """Nobody but a person can do anything before."""
    earlier = waiting(updated_at=NOW - timedelta(days=2), sequence=2)
    assert decide(look(waiting(), earlier), NOW) == Wait(until=NOW + timedelta(days=5), idle=True)


def test_retry_is_not_overslept_for_an_approval() -> None:
    """The earlier of both moments counts, and it is no idle one."""
    retry = a_run(RunState.QUEUED, a_drop("2025-05"), ready_at=NOW + timedelta(seconds=30))
    assert decide(look(waiting(), retry), NOW) == Wait(until=NOW + timedelta(seconds=30))


def test_approval_promotes_with_the_name_and_the_reason() -> None:
    """As one more rule of the decision, which the version keeps."""
    run = waiting(answer=YES)
    assert wanted(look(run), NOW).champion
    action = decide(look(run, champion=(a_champion(),)), NOW)
    assert isinstance(action, Promote)
    assert (action.has_moved, action.why, action.decision.verdict) == (False, "approved by ann: looks right", Verdict.PROMOTE)
    (rule,) = action.decision.outcomes
    assert (rule.rule, rule.result, rule.sentence) == ("approval", Result.PASSED, "approved by ann: looks right")


def test_rejection_by_a_person_turns_the_verdict() -> None:
    """Without a look at the registry."""
    action = decide(look(waiting(answer=NO)), NOW)
    assert isinstance(action, Reject)
    assert (action.decision.verdict, action.why) == (Verdict.REJECT, "rejected by ann: the campaign distorts this month")
    assert action.decision.reasons == ("rejected by ann: the campaign distorts this month",)


@pytest.mark.parametrize(("days", "is_late"), [(6.9, False), (7, True)])
def test_nobody_answering_is_a_rejection(days: float, is_late: bool) -> None:  # noqa: FBT001 - a case
    """In doubt the champion stays."""
    action = decide(look(waiting()), NOW + timedelta(days=days))
    assert isinstance(action, Reject) is is_late
    if isinstance(action, Reject):
        assert (action.decision.verdict, action.why) == (Verdict.REJECT, "nobody approved it within 7 days")


def test_answer_in_time_counts_although_the_daemon_was_late() -> None:
    """It is recorded; only its execution is late."""
    run = waiting(answer=YES)
    action = decide(look(run, champion=(a_champion(),)), NOW + timedelta(days=30))
    assert isinstance(action, Promote)


def test_approval_that_came_too_late_is_none() -> None:
    """Whoever wrote it down; what a person turned down is turned down by the person."""
    late = NOW + timedelta(days=7)
    action = decide(look(waiting(answer=replace(YES, at=late)), champion=(a_champion(),)), late)
    assert isinstance(action, Reject)
    assert action.why == "nobody approved it within 7 days"
    action = decide(look(waiting(answer=replace(NO, at=late))), late)
    assert isinstance(action, Reject)
    assert action.why.startswith("rejected by ann")


@pytest.mark.parametrize("answer", [None, YES])
def test_moved_champion_makes_the_evidence_stale_whatever_was_answered(answer: Answer | None) -> None:
    """What a person approved was a comparison with somebody else."""
    run = waiting(answer=answer)
    action = decide(look(run, champion=(a_champion("9"),), known_champion=a_champion("9")), NOW)
    assert action == Advance(
        run=run,
        to=RunState.QUEUED,
        why="champion is now version 9, it is evaluated again and needs another approval",
        next_attempt=True,
    )


def test_lost_champion_makes_the_evidence_stale() -> None:
    """Nobody is not the one it was compared with."""
    action = decide(look(waiting(), known_champion=a_champion("")), NOW)
    assert isinstance(action, Advance)
    assert action.why.startswith("champion is now nobody")


def test_version_that_somebody_made_champion_by_hand_waits_no_longer() -> None:
    """The hand is noted first."""
    run = waiting()
    assert decide(look(run, champion=(a_champion("2"),)), NOW) == NoteChampion(champion=a_champion("2"))
    action = decide(look(run, known_champion=a_champion("2")), NOW)
    assert action == Advance(run=run, to=RunState.PROMOTED, why="its version was made champion by hand")


def test_crash_after_the_alias_moved_is_finished_and_suspects_nobody() -> None:
    """Beside another run that is open meanwhile."""
    run, other = waiting(answer=YES), a_run(RunState.RUNNING, a_drop("2025-05"))
    seen = look(other, run, champion=(a_champion("2"),), observation=Observation(name=other.name, phase=Phase.RUNNING))
    action = decide(seen, NOW)
    assert isinstance(action, Promote)
    assert (action.run, action.has_moved) == (run, True)


def test_newer_bytes_end_the_waiting_although_it_was_approved() -> None:
    """The correction is what is to be judged."""
    run = waiting(answer=YES)
    newer = a_drop(content="b", generation="2")
    action = decide(replace(look(run, champion=(a_champion(),)), current={newer.uri: newer}), NOW)
    assert getattr(action, "to", None) is RunState.SUPERSEDED


def test_shadow_promotes_nobody_and_says_what_would_have_been() -> None:
    """Both ways."""
    policy = replace(a_policy().promotion, mode="shadow")
    case = Case(candidate_version="2", candidate_period="2025-03", evaluation=an_evaluation(), champion=a_champion())
    worse = replace(case, evaluation=an_evaluation(candidate={"log_loss": 0.7, "roc_auc": 0.8}))
    better_decision, worse_decision = judge(case, policy), judge(worse, policy)
    assert (better_decision.verdict, worse_decision.verdict) == (Verdict.REJECT, Verdict.REJECT)
    assert better_decision.reasons == ('with mode = "shadow" nobody is promoted; otherwise it would be promoted',)
    assert worse_decision.reasons[-1] == 'with mode = "shadow" nobody is promoted; otherwise it would be rejected as well'


def test_shadow_is_judged_when_the_run_was_trained() -> None:
    """The decision is recorded as every other is."""
    policy = a_policy(promotion=replace(a_policy().promotion, mode="shadow"))
    run = a_run(RunState.TRAINED)
    action = decide(a_snapshot(run, policy=policy, champion=(a_champion(),), outcome=an_outcome()), NOW)
    assert isinstance(action, Judge)
    assert action.decision.verdict is Verdict.REJECT
