"""Every rule of a promotion, and that doubt is a rejection."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import a_champion, a_policy, an_evaluation
from trainer_daemon.policy.observations import Evaluation, Verdict
from trainer_daemon.policy.promotion import HIGHER_IS_BETTER, Case, Decision, PromotionPolicy, Result, judge

POLICY = a_policy().promotion


def decide(evaluation: Evaluation | None, policy: PromotionPolicy = POLICY, **changes: Any) -> Decision:  # noqa: ANN401 - any field
    """Judge a candidate of 2025-03 against champion version 1 of 2025-01."""
    case = Case(candidate_version="2", candidate_period="2025-03", evaluation=evaluation, champion=a_champion())
    return judge(replace(case, **changes), policy)


def failed(decision: Decision) -> list[str]:
    """Names of the rules that failed."""
    return [outcome.rule for outcome in decision.outcomes if outcome.result is Result.FAILED]


def test_better_candidate_is_promoted_with_every_rule_listed() -> None:
    """The decision names what was decided about, and each rule's numbers."""
    decision = decide(an_evaluation())
    assert decision.verdict is Verdict.PROMOTE
    assert (decision.candidate_version, decision.champion_version) == ("2", "1")
    rules = [outcome.rule for outcome in decision.outcomes]
    assert rules == [
        "registered",
        "evaluated",
        "not_older",
        "min_holdout_rows",
        "threshold[roc_auc]",
        "min_gain[log_loss]",
        "max_loss[roc_auc]",
    ]
    gain = decision.outcomes[5]
    assert gain.observed == pytest.approx(0.10)
    assert gain.required == 0.0


def test_equal_candidate_is_rejected() -> None:
    """A gain of nothing is no gain."""
    evaluation = an_evaluation()
    assert failed(decide(replace(evaluation, champion=evaluation.candidate))) == ["min_gain[log_loss]"]


def test_gain_must_exceed_the_minimum_in_the_right_direction() -> None:
    """log_loss improves downwards, roc_auc upwards."""
    assert failed(decide(an_evaluation(), replace(POLICY, min_gain=0.1001))) == ["min_gain[log_loss]"]
    assert decide(an_evaluation(), replace(POLICY, min_gain=0.099)).verdict is Verdict.PROMOTE
    assert failed(decide(an_evaluation(), replace(POLICY, metric="roc_auc", min_gain=0.02))) == ["min_gain[roc_auc]"]


def test_guard_metric_may_fall_only_so_far() -> None:
    """A better log loss does not buy any fall of the ranking."""
    worse = an_evaluation(candidate={"log_loss": 0.4, "roc_auc": 0.739})
    assert failed(decide(worse)) == ["max_loss[roc_auc]"]
    assert decide(replace(worse, candidate={"log_loss": 0.4, "roc_auc": 0.741})).verdict is Verdict.PROMOTE


def test_threshold_is_a_maximum_where_lower_is_better() -> None:
    """Every metric knows its direction."""
    policy = replace(POLICY, thresholds={"log_loss": 0.45})
    assert failed(decide(an_evaluation(), policy)) == ["threshold[log_loss]"]


def test_first_model_needs_absolute_thresholds_only() -> None:
    """Without a champion there is nothing to be better than."""
    first = an_evaluation(champion_version="", champion={})
    decision = decide(first, champion=None)
    assert decision.verdict is Verdict.PROMOTE
    assert decision.champion_version == ""
    assert failed(decide(replace(first, candidate={"log_loss": 0.5, "roc_auc": 0.59}), champion=None)) == ["threshold[roc_auc]"]


@pytest.mark.parametrize(
    ("evaluation", "rules"),
    [
        (None, ["evaluated"]),
        (an_evaluation(candidate={"log_loss": 0.5}), ["threshold[roc_auc]", "max_loss[roc_auc]"]),
        (an_evaluation(champion={"roc_auc": 0.7}), ["min_gain[log_loss]"]),
        (
            an_evaluation(champion={}, champion_error="its file cannot be read"),
            ["evaluated", "min_gain[log_loss]", "max_loss[roc_auc]"],
        ),
        (an_evaluation(champion_version="7"), ["evaluated"]),
        (an_evaluation(champion_version="", champion={}), ["evaluated"]),
        (an_evaluation(holdout_rows=29), ["min_holdout_rows"]),
    ],
)
def test_what_cannot_be_computed_is_never_promoted(evaluation: Evaluation | None, rules: list[str]) -> None:
    """Missing evidence fails closed, and says which rule."""
    decision = decide(evaluation)
    assert decision.verdict is Verdict.REJECT
    assert failed(decision) == rules
    assert all(decision.reasons)


def test_candidate_of_an_older_period_is_rejected() -> None:
    """Old months say nothing about the customers that the champion serves."""
    assert failed(decide(an_evaluation(), champion=a_champion(period="2025-04"))) == ["not_older"]
    assert decide(an_evaluation(), champion=a_champion(period="2025-03")).verdict is Verdict.PROMOTE


def test_run_without_a_version_is_rejected() -> None:
    """Nothing was registered, so nothing can be promoted."""
    assert failed(decide(an_evaluation(), candidate_version="")) == ["registered"]


_numbers = st.floats(0, 1)
_metrics = st.dictionaries(st.sampled_from(sorted(HIGHER_IS_BETTER)), _numbers)


@given(candidate=_metrics, champion=_metrics, metric=st.sampled_from(sorted(HIGHER_IS_BETTER)), bounds=_metrics, guards=_metrics)
def test_judge_is_total_and_promotes_only_when_no_rule_fails(
    candidate: dict[str, float], champion: dict[str, float], metric: str, bounds: dict[str, float], guards: dict[str, float]
) -> None:
    """A promoted candidate has every number that a rule asked for, and improves the metric."""
    policy = PromotionPolicy(metric=metric, thresholds=bounds, max_loss=guards)
    decision = decide(an_evaluation(candidate=candidate, champion=champion), policy)
    assert (decision.verdict is Verdict.PROMOTE) == (not failed(decision))
    if decision.verdict is Verdict.PROMOTE:
        better = candidate[metric] > champion[metric] if HIGHER_IS_BETTER[metric] else candidate[metric] < champion[metric]
        assert better
        assert set(bounds) | set(guards) <= set(candidate)
