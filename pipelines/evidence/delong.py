"""Whether two areas under the ROC curve, measured on the same rows, differ.

The test is DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988) 837-845; it is computed from midranks in O(n log n) as
Sun and Xu show, IEEE Signal Processing Letters 21 (2014) 1389-1393.
"""

import math
from dataclasses import dataclass

import numpy as np

from pipelines.evidence.ranks import midranks

_ROWS_MIN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class DeLong:
    """The test's result.

    Attributes:
        difference: The first area minus the second.
        standard_error: Of the difference.
        z: Difference in standard errors; None when the error is 0, as for models that order all rows alike.
        p: Two-sided probability of a |z| as large when the areas are equal.
    """

    difference: float
    standard_error: float
    z: float | None
    p: float


def delong(first: np.ndarray, second: np.ndarray, labels: np.ndarray) -> DeLong | None:
    """Compare two areas; None with fewer than two rows of either class, where there is no variance.

    Args:
        first: Scores of one model, `(rows,)`.
        second: Those of the other.
        labels: 0/1, `(rows,)`.
    """
    if min(np.sum(labels == 1), np.sum(labels == 0)) < _ROWS_MIN:
        return None
    areas, covariance = _areas(np.stack([first, second]), labels)
    difference = float(areas[0] - areas[1])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    error = math.sqrt(max(variance, 0.0))
    if error < 1e-12:  # noqa: PLR2004 - nothing but rounding
        return DeLong(difference=difference, standard_error=0.0, z=None, p=1.0 if difference == 0 else 0.0)
    z = difference / error
    return DeLong(difference=difference, standard_error=error, z=z, p=math.erfc(abs(z) / math.sqrt(2)))


def _areas(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Areas `(models,)` and their covariance `(models, models)`; in the paper's names X are the positives, Y the rest."""
    x, y = scores[:, labels == 1], scores[:, labels == 0]
    m, n = x.shape[1], y.shape[1]
    ranks_x, ranks_y = np.apply_along_axis(midranks, 1, x), np.apply_along_axis(midranks, 1, y)
    ranks = np.apply_along_axis(midranks, 1, np.hstack([x, y]))
    placed_x = (ranks[:, :m] - ranks_x) / n  # for each positive, the share of negatives that it beats
    placed_y = 1 - (ranks[:, m:] - ranks_y) / m
    return placed_x.mean(axis=1), np.cov(placed_x) / m + np.cov(placed_y) / n
