"""How good a model is on held-out rows: metrics, curves, and the document `evaluation.json` that the daemon decides on."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn import metrics
from sklearn.pipeline import Pipeline

from pipelines.columns import as_numbers
from pipelines.evidence.drift import Drift
from pipelines.model import churn_probabilities
from pipelines.schema import Kind, Schema

EVALUATION_FORMAT = 2
DECISION_THRESHOLD = 0.5
_BINS, _SCORE_BINS = 10, 20
_CURVE_POINTS_MAX = 100
_CURVE_DIGITS = 4


class Direction(StrEnum):
    """Which way a metric is better."""

    HIGHER = "higher"
    LOWER = "lower"


METRICS: Mapping[str, Direction] = {
    "roc_auc": Direction.HIGHER,
    "average_precision": Direction.HIGHER,
    "log_loss": Direction.LOWER,
    "brier": Direction.LOWER,
    "accuracy": Direction.HIGHER,
    "precision": Direction.HIGHER,
    "recall": Direction.HIGHER,
    "f1": Direction.HIGHER,
    "ece": Direction.LOWER,
}
"""Every metric that is computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """One model on the held-out rows.

    Attributes:
        metrics: Every metric of `METRICS`; None where it is not defined.
        undefined: Why, for those.
        roc: False positive rate, true positive rate and threshold, float64, `(points, 3)`; at most a hundred points.
        precision_recall: Recall and precision, float64, `(points, 2)`; at most a hundred points.
        calibration: Mean probability, share of churn and rows of each bin that has rows, float64, `(bins, 3)`.
        confusion: Rows by label and decision at one half, int64, `(2, 2)`.
        spread: Rows by label and by twentieth of the probability, int64, `(2, 20)`.
        probabilities: Of label 1, float64, `(rows,)`.
    """

    metrics: Mapping[str, float | None]
    undefined: Mapping[str, str]
    roc: np.ndarray
    precision_recall: np.ndarray
    calibration: np.ndarray
    confusion: np.ndarray
    spread: np.ndarray
    probabilities: np.ndarray

    @property
    def defined(self) -> dict[str, float]:
        """The metrics that have a value."""
        return {name: value for name, value in self.metrics.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChampionScores:
    """The champion on the same rows.

    Attributes:
        version: The version that was pinned when the run was launched.
        scores: None when it could not be scored; then `error` says why.
        missing_columns: Columns that it knows and the drop lacks; it was scored as if they had no values.
        drift: How far the rows are from those it was trained on; None when it could not be scored.
    """

    version: str
    scores: Scores | None = None
    error: str = ""
    missing_columns: Sequence[str] = field(default_factory=tuple)
    drift: Drift | None = None


def score(model: Pipeline, rows: pd.DataFrame, labels: np.ndarray) -> Scores:
    """Compute every metric of a model.

    Args:
        model: A fitted model with its own preprocessing.
        rows: Its features, `(rows, features)`.
        labels: 0/1, `(rows,)`; both occur.
    """
    return score_probabilities(churn_probabilities(model, rows), labels)


def score_probabilities(probabilities: np.ndarray, labels: np.ndarray) -> Scores:
    """Compute every metric of predictions.

    Args:
        probabilities: Of label 1, float64, `(rows,)`.
        labels: 0/1, `(rows,)`.
    """
    decisions = (probabilities >= DECISION_THRESHOLD).astype(np.int64)
    calibration = _calibration(probabilities, labels)
    values, undefined = _defined({**_ranking(probabilities, labels), **_deciding(decisions, labels), "ece": _ece(calibration)})
    return Scores(
        metrics=values,
        undefined=undefined,
        roc=_roc(probabilities, labels),
        precision_recall=_precision_recall(probabilities, labels),
        calibration=calibration,
        confusion=metrics.confusion_matrix(labels, decisions, labels=[0, 1]),
        spread=np.stack([_histogram(probabilities[labels == label]) for label in (0, 1)]),
        probabilities=probabilities,
    )


def as_known_to(model: Pipeline, rows: pd.DataFrame, schema: Schema | None) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The rows as a model knows them, and its columns that they lack.

    Args:
        model: A fitted model.
        rows: Typed rows of a drop, `(rows, columns)`.
        schema: What the columns were when the model was trained, if that is known.
    """
    names = list(model.feature_names_in_)
    kinds = schema.columns if schema else {}
    known = rows.reindex(columns=names)
    for name in names:
        known[name] = _as_kind(known[name], kinds.get(name))
    return known, tuple(name for name in names if name not in rows.columns)


def champion_document(champion: ChampionScores | None) -> dict[str, Any] | None:
    """The champion's part of `evaluation.json`."""
    if champion is None:
        return None
    if champion.scores is None:
        return {"version": champion.version, "error": champion.error}
    missing = {"missing_columns": list(champion.missing_columns)} if champion.missing_columns else {}
    return {"version": champion.version, **model_document(champion.scores), **missing}


def model_document(scores: Scores) -> dict[str, Any]:
    """One model's part of `evaluation.json`: every metric a number or null, why it is null, and what the report draws."""
    return {
        "metrics": dict(scores.metrics),
        **({"undefined": dict(scores.undefined)} if scores.undefined else {}),
        "curves": {
            "roc": scores.roc[:, :2].round(_CURVE_DIGITS).tolist(),
            "precision_recall": scores.precision_recall.round(_CURVE_DIGITS).tolist(),
            "confusion": scores.confusion.tolist(),
            "spread": scores.spread.tolist(),
        },
    }


def _ranking(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    one_class = len(set(labels)) < 2  # noqa: PLR2004 - both classes
    return {
        "roc_auc": math.nan if one_class else float(metrics.roc_auc_score(labels, probabilities)),
        "average_precision": float(metrics.average_precision_score(labels, probabilities)) if labels.any() else math.nan,
        "log_loss": float(metrics.log_loss(labels, probabilities, labels=[0, 1])),
        "brier": float(np.mean((probabilities - labels) ** 2)),
    }


def _deciding(decisions: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    hits = int(np.sum(decisions & labels))
    predicted, positives = int(decisions.sum()), int(labels.sum())
    return {
        "accuracy": float(np.mean(decisions == labels)),
        "precision": hits / predicted if predicted else math.nan,
        "recall": hits / positives if positives else math.nan,
        "f1": 2 * hits / (predicted + positives) if predicted + positives else math.nan,
    }


def _defined(values: Mapping[str, float]) -> tuple[dict[str, float | None], dict[str, str]]:
    """JSON knows no NaN; a metric that is not defined is null, and says why."""
    why = {"precision": "no row was predicted to churn"}
    numbers = {name: values[name] if math.isfinite(values[name]) else None for name in METRICS}
    return numbers, {name: why.get(name, "the held-out rows have one class") for name, value in numbers.items() if value is None}


def _calibration(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    bins = np.minimum((probabilities * _BINS).astype(np.int64), _BINS - 1)
    counts = np.bincount(bins, minlength=_BINS)
    used = counts > 0
    confidence = np.bincount(bins, weights=probabilities, minlength=_BINS)[used] / counts[used]
    frequency = np.bincount(bins, weights=labels, minlength=_BINS)[used] / counts[used]
    return np.column_stack([confidence, frequency, counts[used].astype(np.float64)])


def _ece(calibration: np.ndarray) -> float:
    """Expected calibration error over equal-width bins (Guo et al. 2017)."""
    confidence, frequency, counts = calibration.T
    return float(np.sum(np.abs(confidence - frequency) * counts) / np.sum(counts))


def _roc(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The ROC curve without its infinite first threshold, thinned out."""
    if len(set(labels)) < 2:  # noqa: PLR2004 - both classes
        return np.empty((0, 3))
    curve = np.column_stack(metrics.roc_curve(labels, probabilities))
    curve[0, 2] = 1.0
    return _thinned(curve)


def _precision_recall(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Recall and precision from the lowest threshold up, thinned out; the last point, at no recall, is a convention."""
    if not labels.any():
        return np.empty((0, 2))
    precision, recall, _ = metrics.precision_recall_curve(labels, probabilities)
    return _thinned(np.column_stack([recall, precision]))


def _thinned(curve: np.ndarray) -> np.ndarray:
    kept = np.unique(np.linspace(0, len(curve) - 1, min(len(curve), _CURVE_POINTS_MAX)).astype(np.int64))
    return curve[kept]


def _histogram(probabilities: np.ndarray) -> np.ndarray:
    return np.histogram(probabilities, bins=_SCORE_BINS, range=(0, 1))[0]


def _as_kind(values: pd.Series, kind: Kind | None) -> pd.Series:
    if kind is Kind.TEXT:
        return values.astype("str")
    if kind is Kind.NUMERIC and not pd.api.types.is_numeric_dtype(values):
        texts = pa.array(values.astype("str"), type=pa.string(), from_pandas=True)
        return pd.Series(as_numbers(texts).to_numpy(zero_copy_only=False), index=values.index, dtype="float64")
    return values
