"""Call records of real customers, who recur in every month; what the daemon makes of whole files, `tests/acceptance` shows."""

import csv
import io
from pathlib import Path

from pipelines.parameters import TrainingSettings
from tests.integration.pipelines.churn_models import a_month


def call_records(shared_data: Path, month: str) -> bytes:
    """One month of the call records."""
    header, *rows = csv.reader((shared_data / "ms_telco_edw_cdr_monthly.csv").read_text(encoding="utf-8").splitlines())
    text = io.StringIO()
    csv.writer(text).writerows([header, *(row for row in rows if row[header.index("month")] == month)])
    return text.getvalue().encode()


def test_window_of_recurring_customers_does_not_leak(shared_data: Path) -> None:
    """A forest that learns customers by heart scores .965 when rows are split, and about .67 when customers are.

    The default estimator would prove nothing here: it is too well regularised to profit much from a leak (.76).
    """
    window = [call_records(shared_data, month) for month in ("1", "2")]
    by_heart = TrainingSettings(estimator="random_forest", hyperparameters={"min_samples_leaf": 1, "n_estimators": 50})
    apart = a_month(*window, entity_column="customerid", training=by_heart)
    assert 0.60 <= apart.metrics["roc_auc"] <= 0.80
    assert {"customerid", "noadditionallines"} <= set(apart.data.schema.dropped), "ids and empty columns are no features"
    assert set(apart.data.holdout["customerid"]).isdisjoint(apart.data.training["customerid"])
    assert a_month(*window, training=by_heart).metrics["roc_auc"] > 0.90
