"""Metrics of predictions, and the document that the daemon decides on."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from pipelines.evaluation import (
    METRICS,
    ChampionScores,
    Direction,
    as_known_to,
    champion_document,
    model_document,
    score_probabilities,
)
from pipelines.model import churn_probabilities, train
from pipelines.parameters import TrainingSettings
from pipelines.schema import Kind
from tests.unit.pipelines.builders import a_schema
from tests.unit.pipelines.test_model import rows_of

DRAW = np.random.default_rng(11)
LABELS = DRAW.integers(0, 2, 400)
PROBABILITIES = np.clip(0.5 + 0.25 * (LABELS - 0.5) + DRAW.normal(0, 0.2, 400), 0.001, 0.999)


def test_metrics_are_those_of_the_field() -> None:
    """Every metric agrees with an independent computation."""
    decisions = PROBABILITIES >= 0.5
    bins = np.digitize(PROBABILITIES, np.arange(0.1, 1.0, 0.1))
    ece = sum(abs(PROBABILITIES[bins == b].mean() - LABELS[bins == b].mean()) * (bins == b).mean() for b in set(bins))
    assert score_probabilities(PROBABILITIES, LABELS).metrics == pytest.approx(
        {
            "roc_auc": metrics.roc_auc_score(LABELS, PROBABILITIES),
            "average_precision": metrics.average_precision_score(LABELS, PROBABILITIES),
            "log_loss": metrics.log_loss(LABELS, PROBABILITIES),
            "brier": metrics.brier_score_loss(LABELS, PROBABILITIES),
            "accuracy": metrics.accuracy_score(LABELS, decisions),
            "precision": metrics.precision_score(LABELS, decisions),
            "recall": metrics.recall_score(LABELS, decisions),
            "f1": metrics.f1_score(LABELS, decisions),
            "ece": ece,
        }
    )


@pytest.mark.parametrize("metric", METRICS)
def test_direction_of_every_metric_is_right(metric: str) -> None:
    """Better predictions move each metric in its direction."""
    worse = score_probabilities(1 - PROBABILITIES, LABELS).metrics[metric]
    better = score_probabilities(np.where(LABELS == 1, 0.999, 0.001), LABELS).metrics[metric]
    assert worse is not None
    assert better is not None
    assert (better > worse) == (METRICS[metric] is Direction.HIGHER)


def test_undefined_metric_is_null_with_a_reason() -> None:
    """JSON has no NaN: what is not defined is null and says why."""
    document = model_document(score_probabilities(np.full(10, 0.1), np.array([0, 1] * 5)))
    assert document["metrics"]["precision"] is None
    assert document["undefined"] == {"precision": "no row was predicted to churn"}
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_one_class_leaves_ranking_metrics_undefined() -> None:
    """Rows of one class cannot be ranked, and that is no crash."""
    scores = score_probabilities(np.linspace(0.1, 0.4, 10), np.zeros(10, dtype=int))
    assert set(scores.undefined) == {"roc_auc", "average_precision", "precision", "recall", "f1"}
    assert scores.defined["log_loss"] > 0


def test_curve_is_finite_and_short() -> None:
    """The KFP UI stores the curve as JSON numbers; the library's first threshold is infinite."""
    roc = score_probabilities(PROBABILITIES, LABELS).roc
    assert len(roc) <= 100
    assert np.isfinite(roc).all()
    assert (roc[0, :2].tolist(), roc[-1, :2].tolist()) == ([0.0, 0.0], [1.0, 1.0])


def test_confusion_matrix_counts_every_row() -> None:
    """Rows are labels, columns are decisions."""
    assert score_probabilities(np.array([0.9, 0.9, 0.2]), np.array([0, 1, 1])).confusion.tolist() == [[0, 1], [1, 1]]


def test_champion_that_cannot_be_scored_is_never_absent() -> None:
    """No champion, a scored one and a broken one are three different things."""
    scores = score_probabilities(PROBABILITIES, LABELS)
    assert champion_document(None) is None
    assert champion_document(ChampionScores(version="3", error="it is gone")) == {"version": "3", "error": "it is gone"}
    document = champion_document(ChampionScores(version="3", scores=scores, missing_columns=("Fees",)))
    assert document is not None
    assert document.pop("curves")["confusion"] == scores.confusion.tolist()
    assert document == {"version": "3", "metrics": dict(scores.metrics), "missing_columns": ["Fees"]}


def test_rows_are_seen_as_the_champion_knows_them() -> None:
    """Columns it lacks are missing, new ones are left out, texts in its numbers are missing numbers."""
    schema = a_schema(number=Kind.NUMERIC, text=Kind.TEXT, gone=Kind.NUMERIC)
    known = pd.DataFrame({"number": [1.0, 2.0] * 20, "text": pd.Series(["a", "b"] * 20, dtype="str"), "gone": np.arange(40.0)})
    champion = train(rows_of(known, schema, np.arange(40) % 2), TrainingSettings(estimator="logistic_regression")).model
    drop = pd.DataFrame({"new": [1.0, 2.0], "text": [math.nan, math.nan], "number": pd.Series(["3", "high"], dtype="str")})
    rows, missing = as_known_to(champion, drop, schema)
    assert missing == ("gone",)
    assert rows["number"].tolist()[0] == 3.0
    assert math.isnan(rows["number"].tolist()[1])
    assert np.isfinite(churn_probabilities(champion, rows)).all()
