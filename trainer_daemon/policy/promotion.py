"""Whether a candidate becomes champion: rules as data, each with an outcome and one sentence. Pure, and closed on failure.

A rule that cannot be computed - a metric that is missing, a champion that could not be scored - fails. Statistical
rules join the list that `_rules` builds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from trainer_daemon.policy.observations import Champion, Evaluation, Verdict

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
class PromotionPolicy:
    """What a candidate has to prove.

    Attributes:
        metric: The metric that has to improve.
        min_gain: By how much, in the metric's own units, whatever its direction; equal is not enough.
        thresholds: Absolute bound per metric: a minimum, or a maximum where lower is better.
        max_loss: Guards: how much worse than the champion each other metric may be.
        min_holdout_rows: Fewer held-out rows prove nothing.
    """

    metric: str = "log_loss"
    min_gain: float = 0.0
    thresholds: Mapping[str, float] = field(default_factory=dict)
    max_loss: Mapping[str, float] = field(default_factory=dict)
    min_holdout_rows: int = 1


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Promote or reject, for one run, with every rule's outcome.

    Attributes:
        candidate_version: The version that the run registered; empty when it registered none.
        champion_version: The version it was decided against; empty when there was none.
    """

    verdict: Verdict
    outcomes: tuple[RuleOutcome, ...]
    candidate_version: str
    champion_version: str

    @property
    def reasons(self) -> tuple[str, ...]:
        """The sentences that carry the verdict: what failed, or else what passed."""
        wanted = Result.PASSED if self.verdict is Verdict.PROMOTE else Result.FAILED
        return tuple(outcome.sentence for outcome in self.outcomes if outcome.result is wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What there is to judge: a candidate, its evidence, and the champion it would replace.

    Attributes:
        lost_champion: Who was champion when there is nobody now; empty when there never was one.
    """

    candidate_version: str
    candidate_period: str
    evaluation: Evaluation | None
    champion: Champion | None
    lost_champion: str = ""


def judge(case: Case, policy: PromotionPolicy) -> Decision:
    """Decide about a candidate; total: every input has a decision, and doubt is a rejection."""
    outcomes = tuple(_rules(case, policy))
    promoted = all(outcome.result is not Result.FAILED for outcome in outcomes)
    return Decision(
        verdict=Verdict.PROMOTE if promoted else Verdict.REJECT,
        outcomes=outcomes,
        candidate_version=case.candidate_version,
        champion_version=case.champion.version if case.champion else "",
    )


def _rules(case: Case, policy: PromotionPolicy) -> Iterator[RuleOutcome]:
    yield _registered(case)
    if case.lost_champion and case.champion is None:
        yield _champion_lost(case.lost_champion)
    yield _evaluated(case)
    yield _not_older(case)
    if case.evaluation is None:
        return
    yield _holdout_rows(case.evaluation, policy.min_holdout_rows)
    for metric, bound in policy.thresholds.items():
        yield _threshold(case.evaluation, metric, bound)
    yield _gain(case.evaluation, policy.metric, policy.min_gain)
    for metric, allowed in policy.max_loss.items():
        yield _loss(case.evaluation, metric, allowed)


def _registered(case: Case) -> RuleOutcome:
    if case.candidate_version:
        return _outcome("registered", passed=True, sentence=f"the candidate is version {case.candidate_version}")
    return _outcome("registered", passed=False, sentence="the run registered no model version")


def _evaluated(case: Case) -> RuleOutcome:
    """The evidence must exist, and must be about the champion that would be replaced."""
    if case.evaluation is None:
        return _outcome("evaluated", passed=False, sentence="the run left no readable evaluation")
    version = case.champion.version if case.champion else ""
    if case.evaluation.champion_version != version:
        sentence = f"it was compared with {_named(case.evaluation.champion_version)}, but now there is {_named(version)}"
        return _outcome("evaluated", passed=False, sentence=sentence)
    if case.evaluation.champion_error:
        sentence = f"{_named(version)} could not be scored: {case.evaluation.champion_error}"
        return _outcome("evaluated", passed=False, sentence=sentence)
    return _outcome("evaluated", passed=True, sentence=f"evaluated on held-out rows against {_named(version)}")


def _champion_lost(version: str) -> RuleOutcome:
    """Without the champion nothing can be better than it: a registry that was lost must not look like a first model."""
    sentence = f"version {version} was champion and now nobody is: point alias champion to a version again"
    return _outcome("champion_present", passed=False, sentence=sentence)


def _not_older(case: Case) -> RuleOutcome:
    """Held-out rows of an old month say nothing about the customers that the champion serves today."""
    period = case.champion.period if case.champion else ""
    if not period:
        return RuleOutcome(rule="not_older", result=Result.NOT_APPLICABLE, sentence="there is no champion with a known period")
    passed = case.candidate_period >= period
    words = "not older than" if passed else "older than"
    sentence = f"the candidate's period {case.candidate_period} is {words} the champion's {period}"
    return _outcome("not_older", passed=passed, sentence=sentence)


def _holdout_rows(evaluation: Evaluation, minimum: int) -> RuleOutcome:
    rows = evaluation.holdout_rows
    passed = rows >= minimum
    sentence = f"{rows} held-out rows, at least {minimum} are needed"
    return _outcome("min_holdout_rows", passed=passed, sentence=sentence, numbers=(rows, minimum))


def _threshold(evaluation: Evaluation, metric: str, bound: float) -> RuleOutcome:
    value = evaluation.candidate.get(metric)
    higher = HIGHER_IS_BETTER[metric]
    if value is None:
        return _missing(f"threshold[{metric}]", f"the candidate has no {metric}", bound)
    passed = value >= bound if higher else value <= bound
    sentence = f"{metric} {value:.4f}, {'at least' if higher else 'at most'} {bound:g} is needed"
    return _outcome(f"threshold[{metric}]", passed=passed, sentence=sentence, numbers=(value, bound))


def _gain(evaluation: Evaluation, metric: str, minimum: float) -> RuleOutcome:
    rule = f"min_gain[{metric}]"
    if not evaluation.champion_version:
        return RuleOutcome(rule=rule, result=Result.NOT_APPLICABLE, sentence="there is no champion to be better than")
    gain = _improvement(evaluation, metric)
    if gain is None:
        return _missing(rule, f"{metric} of candidate and champion cannot be compared", minimum)
    passed = gain > minimum
    sentence = (
        f"{metric} {evaluation.candidate[metric]:.4f} against the champion's {evaluation.champion[metric]:.4f}: "
        f"{_compared(gain)}, better by more than {minimum:g} is needed"
    )
    return _outcome(rule, passed=passed, sentence=sentence, numbers=(gain, minimum))


def _loss(evaluation: Evaluation, metric: str, allowed: float) -> RuleOutcome:
    rule = f"max_loss[{metric}]"
    if not evaluation.champion_version:
        return RuleOutcome(rule=rule, result=Result.NOT_APPLICABLE, sentence="there is no champion to be worse than")
    gain = _improvement(evaluation, metric)
    if gain is None:
        return _missing(rule, f"{metric} of candidate and champion cannot be compared", allowed)
    loss = max(0.0, -gain)
    sentence = (
        f"{metric} {evaluation.candidate[metric]:.4f} against the champion's {evaluation.champion[metric]:.4f}: "
        f"worse by {loss:.4f}, at most {allowed:g} is allowed"
    )
    return _outcome(rule, passed=loss <= allowed, sentence=sentence, numbers=(loss, allowed))


def _improvement(evaluation: Evaluation, metric: str) -> float | None:
    """How much better the candidate is, positive when better, None when either side is missing."""
    candidate, champion = evaluation.candidate.get(metric), evaluation.champion.get(metric)
    if candidate is None or champion is None:
        return None
    return candidate - champion if HIGHER_IS_BETTER[metric] else champion - candidate


def _compared(gain: float) -> str:
    if gain == 0:
        return "equal"
    return f"better by {gain:.4g}" if gain > 0 else f"worse by {-gain:.4g}"


def _outcome(rule: str, *, passed: bool, sentence: str, numbers: tuple[float, float] | None = None) -> RuleOutcome:
    observed, required = numbers or (None, None)
    result = Result.PASSED if passed else Result.FAILED
    return RuleOutcome(rule=rule, result=result, sentence=sentence, observed=observed, required=required)


def _missing(rule: str, sentence: str, required: float) -> RuleOutcome:
    return RuleOutcome(rule=rule, result=Result.FAILED, sentence=sentence, required=required)


def _named(version: str) -> str:
    return f"champion version {version}" if version else "no champion"
