"""Stored evaluations under other rules: what the judge is given."""

from dataclasses import replace
from typing import Any

from tests.builders import NOW, a_champion, a_decision, a_policy, a_run, an_evaluation
from trainer_daemon.adapters.ledger.history import Judgement
from trainer_daemon.commands.replaying import replayed
from trainer_daemon.policy.observations import Verdict
from trainer_daemon.policy.promotion import Case, judge, not_rolled_back
from trainer_daemon.policy.runs import RunState


def judged(attempt: int, **changes: Any) -> Judgement:  # noqa: ANN401 - any field of the document
    """A promotion of version 2 against version 1, by the evaluation of attempt 1."""
    document = {
        "format": 1,
        "run_key": "k",
        "attempt": 1,
        "holdout": {"rows": 200},
        "candidate": {"metrics": {"log_loss": 0.5, "roc_auc": 0.8}},
        "champion": {"version": "1", "metrics": {"log_loss": 0.6, "roc_auc": 0.79}},
    }
    return Judgement(run_key="k", attempt=attempt, decision=a_decision(), evaluation=document | changes, at=NOW)


def verdict(made: Judgement) -> Verdict:
    """By the default rules."""
    return replayed(a_run(RunState.PROMOTED), made, (), a_policy().promotion).now.verdict


def test_evaluation_of_the_decided_attempt_counts() -> None:
    """Even where the ledger does not know who the champion was."""
    assert verdict(judged(1)) is Verdict.PROMOTE


def test_evaluation_of_another_attempt_is_none() -> None:
    """As for the daemon: it is about another champion."""
    assert verdict(judged(2)) is Verdict.REJECT


def test_evaluation_that_cannot_be_read_is_none() -> None:
    """The daemon kept why, not what."""
    made = judged(1, format=99)
    assert verdict(made) is Verdict.REJECT
    assert replayed(a_run(), made, (), a_policy().promotion).differs


def test_version_that_a_person_had_taken_back_stays_rejected() -> None:
    """Whatever the other rules say about its numbers."""
    barred = not_rolled_back("2", "rolled back by ann: scores are off")
    made = replace(judged(1), decision=replace(a_decision(Verdict.REJECT), outcomes=(barred,)))
    again = replayed(a_run(RunState.REJECTED), made, (), a_policy().promotion)
    assert (again.differs, again.now.reasons) == (False, ("version 2 was rolled back by ann: scores are off",))


def test_promotion_is_told_by_what_carried_it() -> None:
    """Not by all that had to be so anyway: the gain, or for a first champion the bound that it reached."""
    case = Case(candidate_version="2", candidate_period="2025-03", evaluation=an_evaluation(), champion=a_champion())
    policy = a_policy().promotion
    assert judge(case, policy).main_reason.startswith("log_loss 0.")
    alone = replace(case, champion=None, evaluation=an_evaluation(champion_version="", champion={}))
    first = judge(alone, replace(policy, thresholds={"roc_auc": 0.6}))
    assert first.main_reason.startswith("first champion: roc_auc 0.")
