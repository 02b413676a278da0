"""The page that shows what predictions come to."""

import re

import numpy as np
from sklearn.pipeline import Pipeline

from pipelines.parameters import RunIdentity
from pipelines.prediction import BINS, Tally
from pipelines.prediction_report import render_prediction_report
from pipelines.serving import Served
from tests.unit.pipelines.test_report import Balance

IDENTITY = RunIdentity(model="churn", run_key="k", run_name="churn-predict-1", attempt=1, tracking_uri="", experiment="e")
SERVED = Served(name="churn", version="7", model=Pipeline([]), columns={})
TALLY = Tally(rows=4000, labelled=1000, total=1234.0, probabilities=np.arange(BINS) * 20)


def rendered(dataset: str = "gs://crm/customers.csv#1", tally: Tally = TALLY) -> str:
    """The page."""
    return render_prediction_report(IDENTITY, dataset, SERVED, "gs://crm/scores.parquet", tally)


def test_page_says_what_was_predicted_by_what_and_how_it_came_out() -> None:
    """Every element is closed, and a person finds the figures and the file."""
    page = Balance()
    page.feed(rendered())
    assert page.open == []
    assert {"version 7 of churn", "gs://crm/scores.parquet", "4,000", "1,000, 25.0%", "0.3085"} <= set(page.texts)


def test_page_is_small_loads_nothing_and_escapes_names() -> None:
    """However many rows there are, wherever it is read, whatever the file is called."""
    page = rendered("file:///<script>alert(1)</script>.csv#1")
    assert len(page) < 10_000
    assert "<script" not in page
    assert not re.search(r"https?:|\bsrc=|\bhref=|url\(|@import", page)


def test_page_of_no_rows_is_no_error() -> None:
    """Nothing is divided by nothing."""
    assert "0, 0.0%" in rendered(tally=Tally(probabilities=np.zeros(BINS, dtype=np.int64)))
