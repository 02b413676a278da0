"""What a rule of promotion comes to, and what every rule needs to come to it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from trainer_daemon.policy.observations import Evaluation

HIGHER_IS_BETTER: Mapping[str, bool] = {
    "roc_auc": True,
    "average_precision": True,
    "log_loss": False,
    "brier": False,
    "accuracy": True,
    "precision": True,
    "recall": True,
    "f1": True,
    "ece": False,
}
"""Every metric that a policy may name, and its direction."""


class Result(StrEnum):
    """How one rule came out."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_APPLICABLE = "not_applicable"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleOutcome:
    """One rule's outcome.

    Attributes:
        rule: Name of the rule, with its metric in brackets where it has one.
        observed: The number the rule looked at; None when there was none.
        required: The number it was held against; None when there was none.
    """

    rule: str
    result: Result
    sentence: str
    observed: float | None = None
    required: float | None = None


def outcome(rule: str, *, passed: bool, sentence: str, numbers: tuple[float, float] | None = None) -> RuleOutcome:
    """A rule that could be computed.

    Args:
        rule: Its name.
        passed: How it came out.
        sentence: Why.
        numbers: What was observed, and what was required.
    """
    observed, required = numbers or (None, None)
    result = Result.PASSED if passed else Result.FAILED
    return RuleOutcome(rule=rule, result=result, sentence=sentence, observed=observed, required=required)


def missing(rule: str, sentence: str, required: float) -> RuleOutcome:
    """A rule that could not be computed, which fails."""
    return RuleOutcome(rule=rule, result=Result.FAILED, sentence=sentence, required=required)


def not_applicable(rule: str, sentence: str) -> RuleOutcome:
    """A rule that has nothing to say about this case."""
    return RuleOutcome(rule=rule, result=Result.NOT_APPLICABLE, sentence=sentence)


def improvement(evaluation: Evaluation, metric: str) -> float | None:
    """How much better the candidate is, positive when better, None when either side is missing."""
    return gain_of(evaluation.candidate, evaluation.champion, metric)


def gain_of(candidate: Mapping[str, float], champion: Mapping[str, float], metric: str) -> float | None:
    """How much better the first is in a metric, positive when better, None when either side is missing."""
    if metric not in candidate or metric not in champion:
        return None
    difference = candidate[metric] - champion[metric]
    return difference if HIGHER_IS_BETTER[metric] else -difference
