"""Months of real customers that must not win, and why they do not: worse for some, no better at all, another population."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.evidence.slices import SliceSettings
from pipelines.parameters import TrainingSettings
from tests.integration.pipelines.churn_models import Month, a_month
from tests.integration.pipelines.judged_months import Story, a_policy, csv_of, evaluation_of, failed, monthly
from tests.unit.pipelines.builders import prepared
from trainer_daemon.policy.observations import Verdict


@pytest.fixture(scope="module")
def telco(shared_data: Path) -> bytes:
    """7,043 customers with three kinds of contract."""
    return (shared_data / "ibm_telco_customer_churn.csv").read_bytes()


@pytest.fixture(scope="module")
def months(telco: bytes) -> Sequence[pd.DataFrame]:
    """Twelve drops of one population."""
    return monthly(telco, 12)


@pytest.fixture(scope="module")
def first(months: Sequence[pd.DataFrame]) -> Month:
    """The first month's model."""
    return trained(csv_of(months[0]))


def trained(content: bytes) -> Month:
    """A month of a model that is quick to fit."""
    return a_month(content, training=TrainingSettings(estimator="logistic_regression"))


def after(first: Month, **settings: object) -> Story:
    """The story after the first month was promoted."""
    story = Story(policy=a_policy(**settings))
    assert story.judge(first, "2025-01").verdict is Verdict.PROMOTE
    return story


def test_worse_slice_blocks_an_overall_better_candidate(telco: bytes) -> None:
    """A fifth of the two-year customers were recorded as leavers by mistake; all others gain from the better model."""
    (customers,) = monthly(telco, 1)
    shallow = TrainingSettings(estimator="random_forest", hyperparameters={"n_estimators": 5, "max_depth": 2})
    champion = a_month(csv_of(customers.iloc[:2000]), training=shallow)
    mistaken = (customers["Contract"] == "Two year") & (np.random.default_rng(1).random(len(customers)) < 0.2)
    boosting = TrainingSettings(estimator="hist_gradient_boosting")
    misled = a_month(csv_of(customers.assign(Churn=customers["Churn"].mask(mistaken, "Yes"))), training=boosting)
    candidate = replace(misled, data=prepared(csv_of(customers)))
    assert after(champion, confidence=0.95).judge(candidate, "2025-02").verdict is Verdict.PROMOTE
    decision = after(champion, confidence=0.95, max_slice_loss={"log_loss": 0.05}).judge(candidate, "2025-02")
    assert failed(decision) == ["max_slice_loss[log_loss]"]
    assert "where Contract is Two year" in decision.reasons[0]


def test_same_model_again_is_never_promoted(first: Month) -> None:
    """No metric differs, in any resample, and no minimum is so small that nothing exceeds it."""
    evaluation = evaluation_of(first, first, slicing=SliceSettings(min_rows=10))
    assert all(not any(difference.quantiles) for difference in evaluation.evidence.differences.values())
    assert evaluation.evidence.slices is not None
    assert all(entry.candidate == entry.champion for entry in evaluation.evidence.slices.found)
    decision = after(first, confidence=0.01).judge(first, "2025-02")
    assert failed(decision) == ["min_gain[log_loss]", "confidence[log_loss]"]


def test_other_population_is_drift(first: Month, months: Sequence[pd.DataFrame]) -> None:
    """Months of the same customers stay near; a month of new ones only, who pay more, does not."""
    usual = after(first, max_drift=0.5).judge(trained(csv_of(months[3])), "2025-04")
    assert "max_drift" not in failed(usual)
    rows = pd.concat(months[3:9], ignore_index=True)
    new = rows[rows["tenure"].astype(int) < 12].assign(MonthlyCharges=lambda frame: frame["MonthlyCharges"].astype(float) + 30)
    unusual = after(first, max_drift=0.5).judge(trained(csv_of(new)), "2025-04")
    assert "max_drift" in failed(unusual)
    assert any("'tenure' differs most" in reason or "'TotalCharges' differs most" in reason for reason in unusual.reasons)
