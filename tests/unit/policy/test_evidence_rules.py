"""The rules on evidence: passed, failed, not applicable; and failed when what they need is missing."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.builders import a_champion, an_evaluation
from trainer_daemon.policy.evidence import Difference, DriftScores, Evidence, Slices, SliceScores
from trainer_daemon.policy.observations import Verdict
from trainer_daemon.policy.promotion import Case, PromotionPolicy, RuleOutcome, judge

METRICS = {"log_loss": 0.50, "roc_auc": 0.80, "ece": 0.04}
OTHERS = {"log_loss": 0.60, "roc_auc": 0.79, "ece": 0.03}


def a_slice(value: str = "monthly", **changes: Any) -> SliceScores:  # noqa: ANN401 - any field
    """A slice on which the candidate is a little better."""
    entry = SliceScores(column="Contract", value=value, rows=90, candidate={"log_loss": 0.55}, champion={"log_loss": 0.58})
    return replace(entry, **changes)


EVIDENCE = Evidence(
    is_recorded=True,
    evaluated_at=datetime(2025, 4, 3, 12, tzinfo=UTC),
    differences={"log_loss": Difference(quantiles=(-0.20, -0.15, -0.10, -0.05, 0.02), defined=1.0)},
    slices=Slices(found=(a_slice(), a_slice("yearly", candidate={"log_loss": 0.60})), absent=(), min_rows=50),
    drift=DriftScores(columns={"Tenure": 0.08, "Charges": 0.31}, score=0.12),
    feature_auc={"Tenure": 0.75, "Charges": 0.6},
)


def outcome(policy: Mapping[str, Any], *, first: bool = False, **changes: Any) -> RuleOutcome:  # noqa: ANN401 - any field
    """The outcome of the one rule that a policy adds, for a candidate of 2025-03 that is better than version 1."""
    evidence = replace(EVIDENCE, **changes)
    champion = None if first else a_champion()
    evaluation = an_evaluation(candidate=METRICS, champion=OTHERS, evidence=evidence)
    if first:
        evaluation = replace(evaluation, champion={}, champion_version="")
    case = Case(candidate_version="2", candidate_period="2025-03", evaluation=evaluation, champion=champion)
    before = {entry.rule for entry in judge(case, PromotionPolicy()).outcomes}
    decision = judge(case, PromotionPolicy(**policy))
    (added,) = (entry for entry in decision.outcomes if entry.rule not in before)
    assert (decision.verdict is Verdict.REJECT) == (added.result == "failed")
    return added


@pytest.mark.parametrize(
    ("policy", "rule", "result", "observed"),
    [
        ({"confidence": 0.75}, "confidence[log_loss]", "passed", 0.75),
        ({"confidence": 0.76}, "confidence[log_loss]", "failed", 0.75),
        ({"max_calibration_loss": 0.02}, "max_calibration_loss", "passed", 0.01),
        ({"max_calibration_loss": 0.005}, "max_calibration_loss", "failed", 0.01),
        ({"max_slice_loss": {"log_loss": 0.03}}, "max_slice_loss[log_loss]", "passed", 0.02),
        ({"max_slice_loss": {"log_loss": 0.01}}, "max_slice_loss[log_loss]", "failed", 0.02),
        ({"max_drift": 0.35}, "max_drift", "passed", 0.31),
        ({"max_drift": 0.25}, "max_drift", "failed", 0.31),
        ({"min_label_age_days": 2}, "min_label_age_days", "passed", 2.5),
        ({"min_label_age_days": 3}, "min_label_age_days", "failed", 2.5),
        ({"leak_bounds": {"roc_auc": 0.9}}, "leak_suspected[roc_auc]", "passed", 0.8),
        ({"leak_bounds": {"roc_auc": 0.7}}, "leak_suspected[roc_auc]", "failed", 0.8),
        ({"leak_bounds": {"log_loss": 0.01}}, "leak_suspected[log_loss]", "passed", 0.5),
        ({"leak_bounds": {"log_loss": 0.51}}, "leak_suspected[log_loss]", "failed", 0.5),
        ({"leak_column_auc": 0.8}, "leak_suspected[columns]", "passed", 0.75),
        ({"leak_column_auc": 0.7}, "leak_suspected[columns]", "failed", 0.75),
    ],
)
def test_rule_passes_and_fails_by_its_number(policy: dict[str, Any], rule: str, result: str, observed: float) -> None:
    """With what was observed, what was required, and a sentence."""
    found = outcome(policy)
    assert (found.rule, found.result) == (rule, result)
    (wanted,) = policy.values()
    required = next(iter(wanted.values())) if isinstance(wanted, dict) else wanted
    assert found.observed == pytest.approx(observed)
    assert found.required == required
    assert found.sentence


def test_confidence_is_about_the_minimum_gain() -> None:
    """The same evidence, another question: no training is needed to ask it."""
    assert outcome({"confidence": 0.5, "min_gain": 0.04}).observed == 0.75
    assert outcome({"confidence": 0.6, "min_gain": 0.06}).observed == 0.5


@pytest.mark.parametrize(
    ("policy", "changes"),
    [
        ({"confidence": 0.9}, {"differences": {}}),
        ({"confidence": 0.9}, {"differences": {"log_loss": Difference(quantiles=(), defined=0.0)}}),
        ({"max_slice_loss": {"log_loss": 1.0}}, {"slices": None}),
        ({"max_slice_loss": {"roc_auc": 1.0}}, {}),
        ({"max_slice_loss": {"log_loss": 1.0}}, {"slices": Slices(found=(a_slice(),), absent=("Region",), min_rows=50)}),
        (
            {"max_slice_loss": {"log_loss": 1.0}},
            {"slices": Slices(found=(a_slice(), a_slice(champion={})), absent=(), min_rows=50)},
        ),
        ({"max_drift": 9.0}, {"drift": None}),
        ({"max_drift": 9.0}, {"drift": DriftScores()}),
        ({"max_drift": 9.0}, {"drift": DriftScores(error="nobody knows")}),
        ({"min_label_age_days": 1}, {"evaluated_at": None}),
        ({"leak_bounds": {"f1": 1.0}}, {}),
        ({"leak_column_auc": 0.99}, {"feature_auc": None}),
        ({"leak_column_auc": 0.99}, {"feature_auc": {}}),
    ],
)
def test_rule_that_cannot_be_computed_fails(policy: dict[str, Any], changes: dict[str, Any]) -> None:
    """However generous it is."""
    found = outcome(policy, **changes)
    assert found.result == "failed"
    assert not found.observed


@pytest.mark.parametrize("whose", ["candidate", "champion"])
def test_calibration_that_is_not_known_fails(whose: str) -> None:
    """Of either model."""
    metrics = {"candidate": dict(METRICS), "champion": dict(OTHERS)}
    del metrics[whose]["ece"]
    evaluation = an_evaluation(**metrics, evidence=EVIDENCE)
    case = Case(candidate_version="2", candidate_period="2025-03", evaluation=evaluation, champion=a_champion())
    found = next(rule for rule in judge(case, PromotionPolicy(max_calibration_loss=0.9)).outcomes if "calibration" in rule.rule)
    assert (found.result, found.observed) == ("failed", None)


@pytest.mark.parametrize(
    "policy",
    [{"confidence": 0.9}, {"max_calibration_loss": 0.0}, {"max_slice_loss": {"log_loss": 0.0}}, {"max_drift": 0.1}],
)
def test_first_model_is_compared_with_nobody(policy: dict[str, Any]) -> None:
    """Such rules do not apply; thresholds do."""
    found = outcome(policy, first=True, drift=None, differences={})
    assert (found.result, found.observed) == ("not_applicable", None)


def test_champion_without_a_reference_may_be_let_pass() -> None:
    """Models that were registered before references were kept, or by hand."""
    unknown = DriftScores(error="version 1 was registered without reference.json")
    found = outcome({"max_drift": 0.1, "drift_without_reference": "ignore"}, drift=unknown)
    assert found.result == "not_applicable"
    assert "registered without reference.json" in found.sentence


def test_month_with_small_slices_only_is_not_held_against_slices() -> None:
    """Too few rows prove nothing, neither way."""
    small = Slices(found=(), absent=(), min_rows=50)
    assert outcome({"max_slice_loss": {"log_loss": 0.0}}, slices=small).result == "not_applicable"


def test_format_one_never_looked_at_columns() -> None:
    """The default policy asks for it, and older evaluations are judged again under it."""
    assert outcome({"leak_column_auc": 0.99}, is_recorded=False, feature_auc=None).result == "not_applicable"


def test_leaking_columns_are_named() -> None:
    """All of them: a person has to take them out."""
    found = outcome({"leak_column_auc": 0.99}, feature_auc={"Reason": 1.0, "Ended": 0.995, "Tenure": 0.7})
    assert "'Reason', 'Ended' alone tells the label" in found.sentence


def test_worst_slice_and_furthest_column_are_named() -> None:
    """A sentence says where to look."""
    assert "where Contract is yearly (90 rows)" in outcome({"max_slice_loss": {"log_loss": 0.0}}).sentence
    assert "column 'Charges' differs most" in outcome({"max_drift": 0.1}).sentence
    scores = DriftScores(columns={"Tenure": 0.1}, score=0.5)
    assert "the champion's score differs most" in outcome({"max_drift": 0.1}, drift=scores).sentence


def test_year_ends_in_january() -> None:
    """The month after December is in the next year; what is no month has no age."""
    evaluation = an_evaluation(evidence=replace(EVIDENCE, evaluated_at=datetime(2026, 1, 11, tzinfo=UTC)))
    ages = {}
    for period in ("2025-12", "2026-01", "spring"):
        case = Case(candidate_version="2", candidate_period=period, evaluation=evaluation, champion=a_champion())
        decision = judge(case, PromotionPolicy(min_label_age_days=10))
        ages[period] = next(entry for entry in decision.outcomes if entry.rule == "min_label_age_days")
    assert (ages["2025-12"].observed, ages["2025-12"].result) == (10, "passed")
    assert (ages["2026-01"].observed, ages["2026-01"].result) == (-21, "failed")
    assert ages["2026-01"].sentence.startswith("2026-01 was not over for another 21.0 days when it was evaluated")
    assert (ages["spring"].observed, ages["spring"].result) == (None, "failed")
