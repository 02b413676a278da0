"""Stored evaluations under other rules: what the judge is given."""

from typing import Any

from tests.builders import NOW, a_decision, a_policy, a_run
from trainer_daemon.adapters.ledger.history import Judgement
from trainer_daemon.commands.replaying import replayed
from trainer_daemon.policy.observations import Verdict
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
