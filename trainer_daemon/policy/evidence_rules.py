"""The rules that look at more than two numbers: confidence, slices, calibration, drift, age of the labels, leaks. Pure.

Each is asked only when the policy wants it, and fails when the evaluation does not hold what it needs.
"""

import re
from datetime import UTC, datetime

from trainer_daemon.policy.evidence import DriftScores, SliceScores
from trainer_daemon.policy.observations import Evaluation
from trainer_daemon.policy.rules import HIGHER_IS_BETTER, RuleOutcome, gain_of, improvement, missing, not_applicable, outcome

_NO_CHAMPION = "there is no champion to compare with"
_S_PER_DAY = 86_400
_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


def confidence(evaluation: Evaluation, metric: str, min_gain: float, required: float) -> RuleOutcome:
    """The gain must exceed the minimum in so large a share of the resamples."""
    rule = f"confidence[{metric}]"
    if not evaluation.champion_version:
        return not_applicable(rule, _NO_CHAMPION)
    difference = evaluation.evidence.differences.get(metric)
    if difference is None:
        return missing(rule, f"the evaluation does not say how sure the difference in {metric} is", required)
    probability = difference.probability_of_gain(min_gain, higher_is_better=HIGHER_IS_BETTER[metric])
    sentence = (
        f"{metric} is better by more than {min_gain:g} with a probability of {probability:.1%}, at least {required:.1%} is needed"
    )
    return outcome(rule, passed=probability >= required, sentence=sentence, numbers=(probability, required))


def calibration_loss(evaluation: Evaluation, allowed: float) -> RuleOutcome:
    """Probabilities may be further from what happens than the champion's by so much."""
    rule = "max_calibration_loss"
    if not evaluation.champion_version:
        return not_applicable(rule, _NO_CHAMPION)
    gain = improvement(evaluation, "ece")
    if gain is None:
        return missing(rule, "the calibration of candidate and champion cannot be compared", allowed)
    loss = max(0.0, -gain)
    sentence = (
        f"calibration error {evaluation.candidate['ece']:.4f} against the champion's {evaluation.champion['ece']:.4f}: "
        f"worse by {loss:.4f}, at most {allowed:g} is allowed"
    )
    return outcome(rule, passed=loss <= allowed, sentence=sentence, numbers=(loss, allowed))


def slice_loss(evaluation: Evaluation, metric: str, allowed: float) -> RuleOutcome:
    """On no slice may the candidate be worse than the champion by more."""
    rule, slices = f"max_slice_loss[{metric}]", evaluation.evidence.slices
    if not evaluation.champion_version:
        return not_applicable(rule, _NO_CHAMPION)
    if slices is None:
        return missing(rule, "the evaluation has no slices", allowed)
    if slices.absent:
        return missing(rule, f"the drop has no column {_quoted(slices.absent)} to take slices of", allowed)
    if not slices.found:
        return not_applicable(rule, f"no slice has {slices.min_rows} held-out rows and five of either label")
    return _worst_slice(rule, slices.found, metric, allowed)


def _worst_slice(rule: str, found: tuple[SliceScores, ...], metric: str, allowed: float) -> RuleOutcome:
    gains = [gain_of(entry.candidate, entry.champion, metric) for entry in found]
    known = [gain for gain in gains if gain is not None]
    if len(known) < len(gains):
        where = _where(found[gains.index(None)])
        return missing(rule, f"{metric} of candidate and champion cannot be compared {where}", allowed)
    worst = found[gains.index(min(known))]
    loss = max(0.0, -min(known))
    sentence = (
        f"worst {_where(worst)} ({worst.rows} rows): {metric} {worst.candidate[metric]:.4f} against the champion's "
        f"{worst.champion[metric]:.4f}, worse by {loss:.4f}, at most {allowed:g} is allowed"
    )
    return outcome(rule, passed=loss <= allowed, sentence=sentence, numbers=(loss, allowed))


def drift(evaluation: Evaluation, allowed: float, *, needs_reference: bool) -> RuleOutcome:
    """No column, nor the champion's scores, may have moved further from its training data."""
    rule, found = "max_drift", evaluation.evidence.drift
    if not evaluation.champion_version:
        return not_applicable(rule, _NO_CHAMPION)
    if found is None or not (found.columns or found.error):
        return missing(rule, "the evaluation does not say how far the month is from the champion's training data", allowed)
    if found.error:
        sentence = f"the month cannot be compared with the champion's training data: {found.error}"
        return missing(rule, sentence, allowed) if needs_reference else not_applicable(rule, sentence)
    name, index = _furthest(found)
    sentence = (
        f"{name} differs most from the champion's training data: stability index {index:.3f}, at most {allowed:g} is allowed"
    )
    return outcome(rule, passed=index <= allowed, sentence=sentence, numbers=(index, allowed))


def label_age(evaluation: Evaluation, period: str, required_days: int) -> RuleOutcome:
    """So long must the month have been over when it was evaluated: those who leave late are not labelled early."""
    rule, at = "min_label_age_days", evaluation.evidence.evaluated_at
    if at is None:
        return missing(rule, "the evaluation does not say when it was made", required_days)
    ended = _end_of(period)
    if ended is None:
        return missing(rule, f"period {period!r} is no month, so nobody knows when it ended", required_days)
    days = (at - ended).total_seconds() / _S_PER_DAY
    was = f"had been over for {days:.1f} days" if days >= 0 else f"was not over for another {-days:.1f} days"
    sentence = f"{period} {was} when it was evaluated, at least {required_days} days after its end are needed"
    return outcome(rule, passed=days >= required_days, sentence=sentence, numbers=(days, required_days))


def plausible(evaluation: Evaluation, metric: str, bound: float) -> RuleOutcome:
    """Whoever is better than anybody can be has seen the answers."""
    rule, value = f"leak_suspected[{metric}]", evaluation.candidate.get(metric)
    if value is None:
        return missing(rule, f"the candidate has no {metric}", bound)
    higher = HIGHER_IS_BETTER[metric]
    passed = value <= bound if higher else value >= bound
    words = "is plausible" if passed else "is too good to be true, a column seems to hold the label"
    sentence = f"{metric} {value:.4f} {words}; {'above' if higher else 'below'} {bound:g} a leak is suspected"
    return outcome(rule, passed=passed, sentence=sentence, numbers=(value, bound))


def feature_leak(evaluation: Evaluation, bound: float) -> RuleOutcome:
    """No column alone may tell nearly all who leave from those who stay."""
    rule, found = "leak_suspected[columns]", evaluation.evidence.feature_auc
    if not evaluation.evidence.is_recorded:
        return not_applicable(rule, "the evaluation is of format 1, which does not look at single columns")
    if not found:
        return missing(rule, "the evaluation does not say how well single columns tell the label", bound)
    name, auc = max(found.items(), key=lambda item: item[1])
    leaking = tuple(column for column, value in found.items() if value > bound)
    suspicion, remedy = f"above {bound:g} a leak is suspected", "correct the file, or name it in id_columns"
    sentence = (
        f"{_quoted(leaking)} alone tells the label, with a ROC-AUC of {auc:.4f}, {suspicion}: {remedy}"
        if leaking
        else f"no column alone tells the label; the best, '{name}', has a ROC-AUC of {auc:.4f}, {suspicion}"
    )
    return outcome(rule, passed=not leaking, sentence=sentence, numbers=(auc, bound))


def _where(entry: SliceScores) -> str:
    return f"where {entry.column} is {entry.value}"


def _furthest(found: DriftScores) -> tuple[str, float]:
    """Whatever moved most, in words, and its index."""
    moved = {f"column '{name}'": index for name, index in found.columns.items()}
    if found.score is not None:
        moved["the champion's score"] = found.score
    return max(moved.items(), key=lambda item: item[1])


def _end_of(period: str) -> datetime | None:
    """The first moment after a month, in UTC."""
    found = _MONTH.fullmatch(period)
    if found is None:
        return None
    year, month = int(found[1]), int(found[2])
    return datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)


def _quoted(names: tuple[str, ...]) -> str:
    return ", ".join(f"'{name}'" for name in names)
