"""The default estimator on real churn data, with nothing configured but the entity column where there is one."""

import csv
import io
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("month", ["1", "2", "3"])
def test_customers_kept_apart_do_not_leak(shared_data: Path, month: str) -> None:
    """The same data reach .96 when a customer's rows are on both sides; apart they are hard to predict."""
    header, *rows = csv.reader((shared_data / "ms_telco_edw_cdr_monthly.csv").read_text(encoding="utf-8").splitlines())
    text = io.StringIO()
    csv.writer(text).writerows([header, *(row for row in rows if row[header.index("month")] == month)])
    trained = a_month(text.getvalue().encode(), entity_column="customerid")
    assert 0.60 <= trained.metrics["roc_auc"] <= 0.80
    assert set(trained.data.holdout["customerid"]).isdisjoint(trained.data.training["customerid"])
    assert "noadditionallines" in trained.data.schema.dropped
