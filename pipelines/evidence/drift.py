"""How far the rows of a month are from those that the champion was trained on.

The population stability index is the symmetrised relative entropy of two distributions over the same bins,
sum of (now - then) * ln(now / then); customary readings are: below 0.1 nothing, above 0.25 another population. Without any
drift it is about (bins - 1) * (1 / rows then + 1 / rows now) on average (Yurdakul, Statistical Properties of Population
Stability Index, Western Michigan University 2018), which few rows make large; so that figure stands beside it. The
Kolmogorov-Smirnov distance is the largest gap between two cumulative distributions, taken at the edges of the bins.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from pipelines.evidence.reference import Numbers, Reference, Texts, as_floats, counts_between

_BIN_SHARE_MIN = 0.1
_PSEUDO_ROWS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """One column then and now.

    Attributes:
        psi: Population stability index over bins of about a tenth, or levels; missing values are one more.
        psi_without_drift: What it would be about, on average, if nothing had moved.
        ks: Kolmogorov-Smirnov distance, 0 to 1; None for texts, and without a value on either side.
    """

    psi: float
    psi_without_drift: float
    ks: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """All that the champion looks at, then and now.

    Attributes:
        columns: Per feature of the champion.
        score: Of its probabilities; None when they were not summarised.
        error: Why nothing could be compared; empty when it could.
    """

    columns: Mapping[str, Shift] = field(default_factory=dict)
    score: Shift | None = None
    error: str = ""


def drift(reference: Reference, rows: pd.DataFrame, scores: np.ndarray) -> Drift:
    """Compare a month with a model's reference.

    Args:
        reference: What the model's data looked like.
        rows: The month as the model knows it, `(rows, features)`; a column that is not there is missing throughout.
        scores: The model's probabilities for it, `(rows,)`.
    """
    columns = {name: _shift(then, rows.get(name, _nothing(rows))) for name, then in reference.columns.items()}
    score = numbers_shift(reference.score, scores) if reference.score else None
    return Drift(columns=columns, score=score)


def numbers_shift(then: Numbers, values: np.ndarray) -> Shift:
    """Compare numbers.

    Args:
        then: What they were.
        values: float64, NaN where missing, `(rows,)`.
    """
    known = values[~np.isnan(values)]
    before = np.array(then.shares) * (1 - then.missing) * then.rows
    now = counts_between(np.array(then.edges), known)
    merged = _merged(before)
    counts = [
        np.append(np.add.reduceat(side, merged), missing)
        for side, missing in ((before, then.missing * then.rows), (now, len(values) - len(known)))
    ]
    return _compared(counts[0], counts[1], ks=_ks(before, now))


def texts_shift(then: Texts, values: pd.Series) -> Shift:
    """Compare texts.

    Args:
        then: What they were.
        values: `(rows,)`.
    """
    known = values.dropna().astype(str)
    now = known.value_counts()
    levels = np.array([now.get(level, 0) for level in then.levels], dtype=np.float64)
    shares = np.array(list(then.levels.values()))
    present = (1 - then.missing) * then.rows
    before = np.append(shares * present, [max(0.0, 1 - shares.sum()) * present, then.missing * then.rows])
    return _compared(before, np.append(levels, [len(known) - levels.sum(), len(values) - len(known)]), ks=None)


def _shift(then: Numbers | Texts, values: pd.Series) -> Shift:
    if isinstance(then, Texts):
        return texts_shift(then, values)
    return numbers_shift(then, as_floats(values))


def _nothing(rows: pd.DataFrame) -> pd.Series:
    return pd.Series(np.nan, index=rows.index)


def _merged(counts: np.ndarray) -> np.ndarray:
    """Where each group of neighbouring bins begins, so that each but the last holds a tenth of the rows."""
    begins, held, wanted = [0], 0.0, _BIN_SHARE_MIN * counts.sum()
    for position, count in enumerate(counts[:-1]):
        held += count
        if held >= wanted - 1e-9:
            begins.append(position + 1)
            held = 0.0
    return np.array(begins)


def _compared(before: np.ndarray, now: np.ndarray, *, ks: float | None) -> Shift:
    """Half a row is added to each bin, so that one that is empty on one side does not make the index infinite."""
    used = (before > 0) | (now > 0)
    before, now = before[used], now[used]
    then_shares = (before + _PSEUDO_ROWS) / (before + _PSEUDO_ROWS).sum()
    now_shares = (now + _PSEUDO_ROWS) / (now + _PSEUDO_ROWS).sum()
    return Shift(
        psi=float(np.sum((now_shares - then_shares) * np.log(now_shares / then_shares))),
        psi_without_drift=float((len(before) - 1) * (1 / before.sum() + 1 / now.sum())),
        ks=ks,
    )


def _ks(before: np.ndarray, now: np.ndarray) -> float | None:
    if not before.sum() or not now.sum():
        return None
    return float(np.max(np.abs(np.cumsum(before) / before.sum() - np.cumsum(now) / now.sum())))
