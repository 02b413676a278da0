"""Metrics under weights, held against scikit-learn and against repeated rows."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from pipelines.evaluation import score_probabilities
from pipelines.evidence.weighted import NAMES, WeightedMetrics, metrics_of
from tests.unit.pipelines.predictions import Predictions, predictions, scored


@given(predictions())
def test_each_row_once_gives_the_metrics_of_the_evaluation(given_rows: Predictions) -> None:
    """There is one definition of every metric, computed twice."""
    scores, labels = given_rows
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of what is undefined
        expected = score_probabilities(scores, labels).metrics
    assert metrics_of(scores, labels) == pytest.approx(dict(expected), abs=1e-12)


@given(predictions(rows_min=3), st.data())
def test_weight_counts_like_repeated_rows(given_rows: Predictions, data: st.DataObject) -> None:
    """A row of weight three is three rows, for every metric, with ties and without."""
    scores, labels = given_rows
    weights = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(labels), max_size=len(labels))))
    if not weights.any():
        weights[0] = 1
    under = WeightedMetrics(scores, labels).under(weights[None, :])[0]
    repeated = metrics_of(np.repeat(scores, weights), np.repeat(labels, weights))
    assert {name: None if np.isnan(value) else value for name, value in zip(NAMES, under, strict=True)} == pytest.approx(repeated)


def test_metrics_agree_with_scikit_learn_under_sample_weights() -> None:
    """An independent implementation comes to the same numbers."""
    scores, labels = scored(400, seed=3)
    scores = scores.round(2)  # ties
    weights = np.random.default_rng(4).integers(0, 4, 400)
    decisions = (scores >= 0.5).astype(int)
    found = dict(zip(NAMES, WeightedMetrics(scores, labels).under(weights[None, :])[0], strict=True))
    assert found == pytest.approx(
        {
            "roc_auc": metrics.roc_auc_score(labels, scores, sample_weight=weights),
            "average_precision": metrics.average_precision_score(labels, scores, sample_weight=weights),
            "log_loss": metrics.log_loss(labels, scores, sample_weight=weights),
            "brier": metrics.brier_score_loss(labels, scores, sample_weight=weights),
            "accuracy": metrics.accuracy_score(labels, decisions, sample_weight=weights),
            "precision": metrics.precision_score(labels, decisions, sample_weight=weights),
            "recall": metrics.recall_score(labels, decisions, sample_weight=weights),
            "f1": metrics.f1_score(labels, decisions, sample_weight=weights),
            "ece": found["ece"],
        }
    )


def test_every_weighting_is_scored_by_itself() -> None:
    """Many weightings at once are the same as one after another."""
    scores, labels = scored(50, seed=5)
    model, weights = WeightedMetrics(scores, labels), np.random.default_rng(6).integers(0, 3, (7, 50))
    one_by_one = np.concatenate([model.under(row[None, :]) for row in weights])
    assert model.under(weights) == pytest.approx(one_by_one)


def test_rows_of_one_class_leave_ranking_metrics_undefined() -> None:
    """A resample without anybody who left ranks nobody, and that is no crash."""
    scores, labels = np.array([0.2, 0.4, 0.9]), np.array([0, 0, 1])
    stayed, left = WeightedMetrics(scores, labels).under(np.array([[1, 2, 0], [0, 0, 2]]))
    assert {name for name, value in zip(NAMES, stayed, strict=True) if np.isnan(value)} == {
        "roc_auc",
        "average_precision",
        "precision",
        "recall",
        "f1",
    }
    assert {name for name, value in zip(NAMES, left, strict=True) if np.isnan(value)} == {"roc_auc"}
    assert np.isnan(WeightedMetrics(scores[:2], labels[:2]).under(np.ones((1, 2), dtype=int))[0, NAMES.index("roc_auc")])
