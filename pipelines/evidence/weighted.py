"""Every metric of one model under many weightings of its rows at once: resamples and slices are both weightings.

The definitions are scikit-learn's (User Guide, Metrics and scoring) with its `sample_weight`; the calibration error is that of
Guo, Pleiss, Sun and Weinberger, ICML 2017, over ten bins of equal width.
"""

from dataclasses import dataclass

import numpy as np

from pipelines.evaluation import METRICS

NAMES = tuple(METRICS)
"""The metrics in the order of the columns of every array here."""

_THRESHOLD = 0.5
_BINS = 10
_EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ranked:
    """Rows by falling score, and where in that order everything is that a metric asks for.

    Attributes:
        order: Row at each position, `(rows,)`.
        positives: Positions of the rows with label 1, `(positives,)`.
        tied: Where in `positives` each group of equal scores begins, `(groups,)`.
        begins: Position where that group begins, `(groups,)`.
        ends: Position after its last row, `(groups,)`.
        decided: How many scores are at least one half.
        hits: How many of `positives` are among those.
        losses: Log loss and squared error of each row, `(rows, 2)`.
        excess: Score minus label, `(rows,)`.
        bins: Position where each calibration bin that has rows begins, `(bins,)`.
    """

    order: np.ndarray
    positives: np.ndarray
    tied: np.ndarray
    begins: np.ndarray
    ends: np.ndarray
    decided: int
    hits: int
    losses: np.ndarray
    excess: np.ndarray
    bins: np.ndarray


class WeightedMetrics:
    """One model's predictions, prepared once, scored under any weights.

    Sorting is paid for once; each weighting then costs a few passes over its rows.

    Args:
        scores: Probability of label 1, float64, `(rows,)`.
        labels: 0/1, `(rows,)`.
    """

    def __init__(self, scores: np.ndarray, labels: np.ndarray) -> None:
        self._ranked = _rank(np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=np.int64))

    def under(self, weights: np.ndarray) -> np.ndarray:
        """Every metric under each weighting; a row of weight k counts like k equal rows.

        Args:
            weights: Whole numbers from 0 up, or booleans, `(weightings, rows)`.

        Returns:
            float64, `(weightings, metrics)`, the metrics in the order of `NAMES`; NaN where one is not defined.
        """
        ranked = self._ranked
        own = np.take(weights, ranked.order, axis=1).astype(np.int64, copy=False)
        upto = np.cumsum(own, axis=1)
        hits = own[:, ranked.positives]
        with np.errstate(divide="ignore", invalid="ignore"):
            found = {
                **_ranking(ranked, hits, upto),
                **_deciding(ranked, hits, upto),
                **_losing(ranked, own.astype(np.float64), upto[:, -1]),
            }
        return np.column_stack([found[name] for name in NAMES])


def _rank(scores: np.ndarray, labels: np.ndarray) -> _Ranked:
    order = np.argsort(-scores, kind="stable")
    scores, labels = scores[order], labels[order]
    changes = np.flatnonzero(np.diff(scores)) + 1
    begins, ends = np.append(0, changes), np.append(changes, len(scores))
    positives = np.flatnonzero(labels)
    groups, tied = np.unique(np.searchsorted(begins, positives, side="right") - 1, return_index=True)
    clipped = np.clip(scores, _EPSILON, 1 - _EPSILON)
    bins = np.minimum((scores * _BINS).astype(np.int64), _BINS - 1)
    decided = int(np.sum(scores >= _THRESHOLD))
    return _Ranked(
        order=order,
        positives=positives,
        tied=tied,
        begins=begins[groups],
        ends=ends[groups],
        decided=decided,
        hits=int(np.searchsorted(positives, decided)),
        losses=np.column_stack([-np.log(np.where(labels == 1, clipped, 1 - clipped)), (scores - labels) ** 2]),
        excess=scores - labels,
        bins=np.append(0, np.flatnonzero(np.diff(bins)) + 1),
    )


def _ranking(ranked: _Ranked, hits: np.ndarray, upto: np.ndarray) -> dict[str, np.ndarray]:
    """Area under the ROC curve with ties counting half, and average precision, from sums over groups of equal scores."""
    if not len(ranked.positives):
        undefined = np.full(len(upto), np.nan)
        return {"roc_auc": undefined, "average_precision": undefined}
    if len(ranked.tied) < len(ranked.positives):
        hits = np.add.reduceat(hits, ranked.tied, axis=1)
    hits_upto, until = np.cumsum(hits, axis=1), upto[:, ranked.ends - 1]
    before = np.where(ranked.begins > 0, upto[:, ranked.begins - 1], 0)
    positives, total = hits_upto[:, -1], upto[:, -1]
    others_above_twice = until + before - 2 * hits_upto + hits  # a tie counts half
    inversions = np.einsum("ij,ij->i", hits, others_above_twice) / 2
    precision = hits_upto / np.maximum(until, 1)
    return {
        "roc_auc": 1 - inversions / (positives * (total - positives)),
        "average_precision": np.einsum("ij,ij->i", hits, precision) / positives,
    }


def _deciding(ranked: _Ranked, hits: np.ndarray, upto: np.ndarray) -> dict[str, np.ndarray]:
    """What follows from deciding at one half; those who are decided for come first in the order."""
    total = upto[:, -1]
    decided = upto[:, ranked.decided - 1] if ranked.decided else np.zeros_like(total)
    right, churned = hits[:, : ranked.hits].sum(axis=1), hits.sum(axis=1)
    return {
        "accuracy": (total - decided - churned + 2 * right) / total,
        "precision": right / decided,
        "recall": right / churned,
        "f1": 2 * right / (decided + churned),
    }


def _losing(ranked: _Ranked, own: np.ndarray, total: np.ndarray) -> dict[str, np.ndarray]:
    losses = own @ ranked.losses
    gaps = np.add.reduceat(own * ranked.excess, ranked.bins, axis=1)
    return {
        "log_loss": losses[:, 0] / total,
        "brier": losses[:, 1] / total,
        "ece": np.abs(gaps).sum(axis=1) / total,
    }


def metrics_of(scores: np.ndarray, labels: np.ndarray) -> dict[str, float | None]:
    """Every metric of predictions, each row counted once; None where one is not defined.

    Args:
        scores: Probability of label 1, float64, `(rows,)`.
        labels: 0/1, `(rows,)`.
    """
    values = WeightedMetrics(scores, labels).under(np.ones((1, len(labels)), dtype=np.int64))[0]
    return {name: float(value) if np.isfinite(value) else None for name, value in zip(NAMES, values, strict=True)}
