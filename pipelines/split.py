"""Which rows are held out: decided by a hash of whose row it is, so that it is the same in every month, for every model.

A random split leaks when customers recur: the model then has seen the very customers it is scored on.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from pipelines.columns import as_numbers

_HASH_KEY = "churn-holdout-v1"  # exactly 16 bytes; another key holds out other customers and makes champions incomparable
_ROWS_AT_A_TIME = 200_000  # bounds the memory for texts as Python objects
_MULTIPLIERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def unit_hashes(frame: pd.DataFrame, columns: Iterable[str]) -> np.ndarray:
    """One hash per row over whose row it is.

    It depends on the values alone: not on the order of rows or columns, on the platform, or on whether 5 was read as
    integer, float or text. A missing cell counts as if its column did not exist.

    Args:
        frame: Typed rows.
        columns: The entity column; or without one, the columns that say what a row is.

    Returns:
        uint64, `(rows,)`, uniformly distributed.
    """
    names = list(columns)
    parts = [_hashes(frame.iloc[start : start + _ROWS_AT_A_TIME], names) for start in range(0, len(frame), _ROWS_AT_A_TIME)]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.uint64)


def entity_hashes(entities: pd.Series) -> np.ndarray:
    """One hash per row over the entity alone, whatever its column is called; uint64, `(rows,)`."""
    return unit_hashes(entities.to_frame(""), [""])


def held_out(hashes: np.ndarray, ratio: float) -> np.ndarray:
    """Which rows are held out.

    Args:
        hashes: uint64, `(rows,)`.
        ratio: Share of the units to hold out, 0 to 1.

    Returns:
        bool, `(rows,)`.
    """
    return hashes < np.uint64(int(ratio * 2**64))


def folds(hashes: np.ndarray, count: int) -> np.ndarray:
    """The fold of each row; rows of one unit share it.

    Args:
        hashes: uint64, `(rows,)`.
        count: Number of folds.

    Returns:
        Integers from 0 to `count` - 1, `(rows,)`; independent of what is held out, since that looks at the high bits.
    """
    return (_mixed(hashes + np.uint64(1)) % np.uint64(count)).astype(np.int64)


def sampled(hashes: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Which rows are in a sample; rows of one unit are in it together.

    Args:
        hashes: uint64, `(rows,)`.
        share: Of the units, 0 to 1.
        seed: Other seeds are other samples.

    Returns:
        bool, `(rows,)`; independent of what is held out, and of the folds.
    """
    return _mixed(hashes + np.uint64(seed + 2)) < np.uint64(int(share * 2**64))


def _hashes(frame: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    total = np.zeros(len(frame), dtype=np.uint64)
    for name in names:
        salt = pd.util.hash_array(np.array([name], dtype=object), hash_key=_HASH_KEY)
        cells = _mixed(_cell_hashes(frame[name]) + salt)
        total += np.where(frame[name].isna().to_numpy(), np.uint64(0), cells)
    return _mixed(total)


def _cell_hashes(values: pd.Series) -> np.ndarray:
    """One hash per cell; a text that is a number hashes like the number."""
    if pd.api.types.is_numeric_dtype(values):
        return _number_hashes(values.to_numpy(dtype="float64", na_value=np.nan))
    if isinstance(values.dtype, pd.CategoricalDtype):
        known = np.append(_cell_hashes(values.cat.categories.to_series()), np.uint64(0))
        recurring: np.ndarray = known[values.cat.codes]  # -1, for a missing cell, is the last one
        return recurring
    texts = values.astype("str")
    numbers: np.ndarray = as_numbers(pa.array(texts, type=pa.string(), from_pandas=True)).to_numpy(zero_copy_only=False)
    numbers = numbers.astype("float64")
    text_hashes = pd.util.hash_array(texts.fillna("").to_numpy(dtype=object), hash_key=_HASH_KEY)
    hashes: np.ndarray = np.where(np.isnan(numbers), text_hashes, _number_hashes(numbers))
    return hashes


def _number_hashes(numbers: np.ndarray) -> np.ndarray:
    canonical = numbers + 0.0  # -0.0 becomes 0.0
    return _mixed(canonical.view(np.uint64))


def _mixed(values: np.ndarray) -> np.ndarray:
    """Spread bits over the whole word: the finaliser of SplitMix64 (Steele, Lea, Flood 2014)."""
    first, second = _MULTIPLIERS
    mixed = (values ^ (values >> np.uint64(30))) * first
    mixed = (mixed ^ (mixed >> np.uint64(27))) * second
    spread: np.ndarray = mixed ^ (mixed >> np.uint64(31))
    return spread
