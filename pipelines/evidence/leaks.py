"""How well single columns alone tell the labels: a column that does so perfectly was written after the fact.

A date of cancellation, a reason for leaving, the label under another name: a model that learns from one looks perfect in
every evaluation and knows nothing about customers who are still there.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from pipelines.evidence.ranks import roc_auc
from pipelines.schema import Kind, Schema

_ROWS_MAX = 100_000
_REPORTED_MAX = 20


def feature_aucs(rows: pd.DataFrame, labels: np.ndarray, schema: Schema) -> Mapping[str, float]:
    """The area under the ROC curve of each feature alone, highest first, at most twenty of them.

    Numbers rank the rows upwards or downwards, whichever is better, missing ones below all; texts rank them by the share
    of label 1 among the rows of the other half that have the same text. On more than 100,000 rows, that many of them,
    evenly spaced, are looked at.

    Args:
        rows: Typed held-out rows, `(rows, columns)`.
        labels: 0/1, `(rows,)`; both occur.
        schema: What the columns are.
    """
    step = -(-len(rows) // _ROWS_MAX)
    rows, labels = rows.iloc[::step], labels[::step]
    numbers = {name: _number_auc(rows[name], labels) for name in schema.features_of(Kind.NUMERIC)}
    texts = {name: _text_auc(rows[name], labels) for name in schema.features_of(Kind.TEXT)}
    ordered = sorted({**numbers, **texts}.items(), key=lambda item: (-item[1], item[0]))
    return {name: auc for name, auc in ordered[:_REPORTED_MAX] if np.isfinite(auc)}


def _number_auc(values: pd.Series, labels: np.ndarray) -> float:
    numbers = values.to_numpy(dtype="float64", na_value=np.nan)
    auc = roc_auc(np.where(np.isnan(numbers), -np.inf, numbers), labels)
    return max(auc, 1 - auc)


def _text_auc(values: pd.Series, labels: np.ndarray) -> float:
    """Each half of the rows is ranked by the other, so that a text that occurs once tells nothing about itself."""
    codes, levels = pd.factorize(values, use_na_sentinel=False)
    halves = np.arange(len(codes)) % 2
    shares = np.empty((2, len(levels)))
    for half in (0, 1):
        own, churned = codes[halves != half], labels[halves != half]
        counts = np.bincount(own, minlength=len(levels))
        shares[half] = (np.bincount(own, weights=churned, minlength=len(levels)) + labels.mean()) / (counts + 1)
    return roc_auc(shares[halves, codes], labels)
