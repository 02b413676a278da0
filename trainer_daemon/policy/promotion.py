"""Whether a candidate becomes champion: rules as data, each with an outcome and one sentence. Pure, and closed on failure.

A rule that cannot be computed - a metric that is missing, a champion that could not be scored - fails. A rule that the
policy does not ask for is not listed. Rules on more than two numbers are in `evidence_rules`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from trainer_daemon.policy import evidence_rules
from trainer_daemon.policy.observations import Champion, Evaluation, Verdict
from trainer_daemon.policy.rules import HIGHER_IS_BETTER, Result, RuleOutcome, improvement, missing, not_applicable, outcome

__all__ = ["HIGHER_IS_BETTER", "Case", "Decision", "PromotionPolicy", "Result", "RuleOutcome", "judge", "not_rolled_back"]

ROLLED_BACK = "rolled_back"
"""Name of the rule that a version fails which a person took back."""
SHADOW = "shadow"
"""Name of the rule that nobody passes while `mode` is `shadow`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionPolicy:
    """What a candidate has to prove.

    Attributes:
        metric: The metric that has to improve.
        min_gain: By how much, in the metric's own units, whatever its direction; equal is not enough.
        thresholds: Absolute bound per metric: a minimum, or a maximum where lower is better.
        max_loss: Guards: how much worse than the champion each other metric may be.
        min_holdout_rows: Fewer held-out rows prove nothing.
        confidence: How probable a gain of more than `min_gain` must be; 0 does not ask.
        max_slice_loss: Per metric, how much worse than the champion the candidate may be on any slice.
        max_calibration_loss: How much worse its calibration error may be; 1 does not ask.
        max_drift: Highest stability index of any column against the champion's training data; 0 does not ask.
        drift_without_reference: What comes of that where the champion's data is not remembered.
        min_label_age_days: How long the month must have been over when it was evaluated.
        leak_bounds: Per metric, what nobody is believed to be better than.
        leak_column_auc: Above which ROC-AUC a single column is believed to hold the label; 1 does not ask.
        mode: What comes of a candidate that has proved it: promotion, a wait for `approval`, or in `shadow` a word about it.
        approval_expiry_days: How long it waits.
    """

    metric: str = "log_loss"
    min_gain: float = 0.0
    thresholds: Mapping[str, float] = field(default_factory=dict)
    max_loss: Mapping[str, float] = field(default_factory=dict)
    min_holdout_rows: int = 1
    confidence: float = 0.0
    max_slice_loss: Mapping[str, float] = field(default_factory=dict)
    max_calibration_loss: float = 1.0
    max_drift: float = 0.0
    drift_without_reference: Literal["fail", "ignore"] = "fail"
    min_label_age_days: int = 0
    leak_bounds: Mapping[str, float] = field(default_factory=dict)
    leak_column_auc: float = 1.0
    mode: Literal["automatic", "approval", "shadow"] = "automatic"
    approval_expiry_days: float = 14.0


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
        return tuple(outcome.sentence for outcome in self._carrying)

    @property
    def main_reason(self) -> str:
        """What failed first, or else the gain, or for a first champion the threshold it passed; empty when there is no rule."""
        best = min(self._carrying, key=_rank, default=None)
        first = "first champion: " if self.verdict is Verdict.PROMOTE and not self.champion_version else ""
        return first + best.sentence if best else ""

    @property
    def _carrying(self) -> tuple[RuleOutcome, ...]:
        wanted = Result.PASSED if self.verdict is Verdict.PROMOTE else Result.FAILED
        return tuple(outcome for outcome in self.outcomes if outcome.result is wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What there is to judge: a candidate, its evidence, and the champion it would replace.

    Attributes:
        lost_champion: Who was champion when there is nobody now; empty when there never was one.
        rolled_back: Who took the candidate back and why; empty when nobody did.
    """

    candidate_version: str
    candidate_period: str
    evaluation: Evaluation | None
    champion: Champion | None
    lost_champion: str = ""
    rolled_back: str = ""


def judge(case: Case, policy: PromotionPolicy) -> Decision:
    """Decide about a candidate; total: every input has a decision, and doubt is a rejection."""
    outcomes = tuple(_rules(case, policy))
    if policy.mode == "shadow":
        outcomes = (*outcomes, _shadow(_all_passed(outcomes)))
    promoted = _all_passed(outcomes)
    return Decision(
        verdict=Verdict.PROMOTE if promoted else Verdict.REJECT,
        outcomes=outcomes,
        candidate_version=case.candidate_version,
        champion_version=case.champion.version if case.champion else "",
    )


def _all_passed(outcomes: tuple[RuleOutcome, ...]) -> bool:
    return all(outcome.result is not Result.FAILED for outcome in outcomes)


def _shadow(would_promote: bool) -> RuleOutcome:  # noqa: FBT001 - its only meaning
    """Nobody is promoted, and the decision says what would have been."""
    would = "promoted" if would_promote else "rejected as well"
    return outcome(SHADOW, passed=False, sentence=f'with mode = "shadow" nobody is promoted; otherwise it would be {would}')


def _rules(case: Case, policy: PromotionPolicy) -> Iterator[RuleOutcome]:
    yield _registered(case)
    if case.rolled_back:
        yield not_rolled_back(case.candidate_version, case.rolled_back)
    if case.lost_champion and case.champion is None:
        yield _champion_lost(case.lost_champion)
    yield _evaluated(case)
    yield _not_older(case)
    if case.evaluation is None:
        return
    yield _holdout_rows(case.evaluation, policy.min_holdout_rows)
    yield from _data(case.evaluation, case.candidate_period, policy)
    for metric, bound in policy.thresholds.items():
        yield _threshold(case.evaluation, metric, bound)
    yield from _comparison(case.evaluation, policy)


def _data(evaluation: Evaluation, period: str, policy: PromotionPolicy) -> Iterator[RuleOutcome]:
    """Whether the month is fit to judge by."""
    if policy.min_label_age_days > 0:
        yield evidence_rules.label_age(evaluation, period, policy.min_label_age_days)
    for metric, bound in policy.leak_bounds.items():
        yield evidence_rules.plausible(evaluation, metric, bound)
    if policy.leak_column_auc < 1:
        yield evidence_rules.feature_leak(evaluation, policy.leak_column_auc)
    if policy.max_drift > 0:
        needs_reference = policy.drift_without_reference == "fail"
        yield evidence_rules.drift(evaluation, policy.max_drift, needs_reference=needs_reference)


def _comparison(evaluation: Evaluation, policy: PromotionPolicy) -> Iterator[RuleOutcome]:
    """Whether the candidate is better than the champion, and nowhere too much worse."""
    yield _gain(evaluation, policy.metric, policy.min_gain)
    if policy.confidence > 0:
        yield evidence_rules.confidence(evaluation, policy.metric, policy.min_gain, policy.confidence)
    for metric, allowed in policy.max_loss.items():
        yield _loss(evaluation, metric, allowed)
    for metric, allowed in policy.max_slice_loss.items():
        yield evidence_rules.slice_loss(evaluation, metric, allowed)
    if policy.max_calibration_loss < 1:
        yield evidence_rules.calibration_loss(evaluation, policy.max_calibration_loss)


def _registered(case: Case) -> RuleOutcome:
    if case.candidate_version:
        return outcome("registered", passed=True, sentence=f"the candidate is version {case.candidate_version}")
    return outcome("registered", passed=False, sentence="the run registered no model version")


def not_rolled_back(version: str, rolled_back: str) -> RuleOutcome:
    """What a person took back only a person brings back."""
    return outcome(ROLLED_BACK, passed=False, sentence=f"version {version} was {rolled_back}")


def _evaluated(case: Case) -> RuleOutcome:
    """The evidence must exist, and must be about the champion that would be replaced."""
    if case.evaluation is None:
        return outcome("evaluated", passed=False, sentence="the run left no readable evaluation")
    version = case.champion.version if case.champion else ""
    if case.evaluation.champion_version != version:
        sentence = f"it was compared with {_named(case.evaluation.champion_version)}, but now there is {_named(version)}"
        return outcome("evaluated", passed=False, sentence=sentence)
    if case.evaluation.champion_error:
        sentence = f"{_named(version)} could not be scored: {case.evaluation.champion_error}"
        return outcome("evaluated", passed=False, sentence=sentence)
    return outcome("evaluated", passed=True, sentence=f"evaluated on held-out rows against {_named(version)}")


def _champion_lost(version: str) -> RuleOutcome:
    """Without the champion nothing can be better than it: a registry that was lost must not look like a first model."""
    sentence = f"version {version} was champion and now nobody is: point alias champion to a version again"
    return outcome("champion_present", passed=False, sentence=sentence)


def _not_older(case: Case) -> RuleOutcome:
    """Held-out rows of an old month say nothing about the customers that the champion serves today."""
    period = case.champion.period if case.champion else ""
    if not period:
        return not_applicable("not_older", "there is no champion with a known period")
    passed = case.candidate_period >= period
    words = "not older than" if passed else "older than"
    sentence = f"the candidate's period {case.candidate_period} is {words} the champion's {period}"
    return outcome("not_older", passed=passed, sentence=sentence)


def _holdout_rows(evaluation: Evaluation, minimum: int) -> RuleOutcome:
    rows = evaluation.holdout_rows
    passed = rows >= minimum
    sentence = f"{rows} held-out rows, at least {minimum} are needed"
    return outcome("min_holdout_rows", passed=passed, sentence=sentence, numbers=(rows, minimum))


def _threshold(evaluation: Evaluation, metric: str, bound: float) -> RuleOutcome:
    value = evaluation.candidate.get(metric)
    higher = HIGHER_IS_BETTER[metric]
    if value is None:
        return missing(f"threshold[{metric}]", f"the candidate has no {metric}", bound)
    passed = value >= bound if higher else value <= bound
    sentence = f"{metric} {value:.4f}, {'at least' if higher else 'at most'} {bound:g} is needed"
    return outcome(f"threshold[{metric}]", passed=passed, sentence=sentence, numbers=(value, bound))


def _gain(evaluation: Evaluation, metric: str, minimum: float) -> RuleOutcome:
    rule = f"min_gain[{metric}]"
    if not evaluation.champion_version:
        return not_applicable(rule, "there is no champion to be better than")
    gain = improvement(evaluation, metric)
    if gain is None:
        return missing(rule, f"{metric} of candidate and champion cannot be compared", minimum)
    passed = gain > minimum
    sentence = (
        f"{metric} {evaluation.candidate[metric]:.4f} against the champion's {evaluation.champion[metric]:.4f}: "
        f"{_compared(gain)}, better by more than {minimum:g} is needed"
    )
    return outcome(rule, passed=passed, sentence=sentence, numbers=(gain, minimum))


def _loss(evaluation: Evaluation, metric: str, allowed: float) -> RuleOutcome:
    rule = f"max_loss[{metric}]"
    if not evaluation.champion_version:
        return not_applicable(rule, "there is no champion to be worse than")
    gain = improvement(evaluation, metric)
    if gain is None:
        return missing(rule, f"{metric} of candidate and champion cannot be compared", allowed)
    loss = max(0.0, -gain)
    sentence = (
        f"{metric} {evaluation.candidate[metric]:.4f} against the champion's {evaluation.champion[metric]:.4f}: "
        f"worse by {loss:.4f}, at most {allowed:g} is allowed"
    )
    return outcome(rule, passed=loss <= allowed, sentence=sentence, numbers=(loss, allowed))


def _rank(rule: RuleOutcome) -> int:
    """How much a rule says about a decision; the lowest says most."""
    if rule.result is Result.FAILED:
        return 0
    return next((rank for rank, name in enumerate(("min_gain", "threshold", "evaluated")) if rule.rule.startswith(name)), 9)


def _compared(gain: float) -> str:
    if gain == 0:
        return "equal"
    return f"better by {gain:.4g}" if gain > 0 else f"worse by {-gain:.4g}"


def _named(version: str) -> str:
    return f"champion version {version}" if version else "no champion"
