"""Ranks with ties, and the area under the ROC curve that follows from them.

The area is the statistic of Mann and Whitney divided by the number of pairs: Hanley and McNeil, Radiology 143 (1982) 29-36.
"""

import math

import numpy as np


def midranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1 up; equal values share the mean of theirs.

    Args:
        values: Comparable, without NaN, `(rows,)`.

    Returns:
        float64, `(rows,)`.
    """
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    shared: np.ndarray = (np.cumsum(sizes) - (sizes - 1) / 2)[group]
    return shared


def roc_auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """The probability that a row with label 1 scores higher than one with label 0, ties counting half; NaN for one class.

    Args:
        scores: `(rows,)`.
        labels: 0/1, `(rows,)`.
    """
    positives = int(np.sum(labels == 1))
    negatives = len(labels) - positives
    if not positives or not negatives:
        return math.nan
    above = float(np.sum(midranks(scores)[labels == 1])) - positives * (positives + 1) / 2
    return above / (positives * negatives)
