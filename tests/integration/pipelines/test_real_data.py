"""The default estimator on real churn data, with nothing configured but the entity column where there is one."""

import csv
import io
from pathlib import Path

import pytest

from pipelines.parameters import TrainingSettings
from tests.integration.pipelines.churn_models import a_month


@pytest.mark.parametrize(
    ("name", "roc_auc_min"),
    [("ibm_telco_customer_churn.csv", 0.83), ("mlc_churn_5000_tidymodels.csv", 0.89), ("iranian_churn.csv", 0.96)],
)
def test_default_estimator_is_as_good_as_published_models(shared_data: Path, name: str, roc_auc_min: float) -> None:
    """Held-out ROC-AUC reaches what untuned models reach in the literature."""
    assert a_month((shared_data / name).read_bytes()).metrics["roc_auc"] >= roc_auc_min


@pytest.mark.parametrize("third", [0, 1, 2])
def test_a_third_of_the_rows_is_enough(shared_data: Path, third: int) -> None:
    """A month is smaller than a whole data set."""
    header, *lines = (shared_data / "ibm_telco_customer_churn.csv").read_bytes().splitlines(keepends=True)
    size = len(lines) // 3
    month = lines[third * size :] if third == 2 else lines[third * size : (third + 1) * size]
    assert a_month(header + b"".join(month)).metrics["roc_auc"] >= 0.80


def call_records(shared_data: Path, month: str) -> bytes:
    """One month of the call records."""
    header, *rows = csv.reader((shared_data / "ms_telco_edw_cdr_monthly.csv").read_text(encoding="utf-8").splitlines())
    text = io.StringIO()
    csv.writer(text).writerows([header, *(row for row in rows if row[header.index("month")] == month)])
    return text.getvalue().encode()


@pytest.mark.parametrize("month", ["1", "2", "3"])
def test_call_records_of_a_month_are_hard_to_predict(shared_data: Path, month: str) -> None:
    """Customers apart, the held-out ROC-AUC is modest; the empty column and the ids are no features."""
    trained = a_month(call_records(shared_data, month), entity_column="customerid")
    assert 0.60 <= trained.metrics["roc_auc"] <= 0.80
    assert {"customerid", "noadditionallines"} <= set(trained.data.schema.dropped)


def test_window_of_recurring_customers_does_not_leak(shared_data: Path) -> None:
    """A forest that learns customers by heart scores .965 when rows are split, and about .69 when customers are.

    The default estimator would prove nothing here: it is too well regularised to profit much from a leak (.76).
    """
    window = [call_records(shared_data, month) for month in ("1", "2")]
    by_heart = TrainingSettings(estimator="random_forest", hyperparameters={"min_samples_leaf": 1, "n_estimators": 100})
    apart = a_month(*window, entity_column="customerid", training=by_heart)
    assert 0.60 <= apart.metrics["roc_auc"] <= 0.80
    assert set(apart.data.holdout["customerid"]).isdisjoint(apart.data.training["customerid"])
    assert a_month(*window, training=by_heart).metrics["roc_auc"] > 0.90
