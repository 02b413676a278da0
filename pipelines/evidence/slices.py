"""Both models on parts of the rows: a candidate that is better for most may be worse for some."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipelines.columns import find_column
from pipelines.evidence.weighted import metrics_of
from pipelines.schema import Kind, Schema

MISSING = "(missing)"
_LEVELS_MAX = 10
_SLICES_MAX = 30
_CLASS_ROWS_MIN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceSettings:
    """Which parts of the rows are looked at.

    Attributes:
        columns: Looked at whatever they hold, besides the categorical features with few levels.
        min_rows: Smaller slices prove nothing; nor do those with fewer than five rows of either label.
    """

    columns: Sequence[str] = ()
    min_rows: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The rows with one value of one column.

    Attributes:
        candidate: The candidate's metrics on them; None where one is not defined.
        champion: The champion's; empty when there is none.
    """

    column: str
    value: str
    rows: int
    positives: int
    candidate: Mapping[str, float | None]
    champion: Mapping[str, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slices:
    """What was found.

    Attributes:
        columns: That were looked at.
        absent: Configured ones that the drop does not have.
        found: At most thirty per column, the largest.
        too_small: Values that had too few rows.
    """

    columns: Sequence[str]
    absent: Sequence[str]
    found: Sequence[Slice]
    too_small: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredRows:
    """Rows that both models have scored.

    Attributes:
        frame: Typed columns, `(rows, columns)`.
        schema: What they are.
        labels: 0/1, `(rows,)`.
        candidate: Probability of label 1, float64, `(rows,)`.
        champion: The same by the champion; None when there is none.
    """

    frame: pd.DataFrame
    schema: Schema
    labels: np.ndarray
    candidate: np.ndarray
    champion: np.ndarray | None


def slices(scored: ScoredRows, settings: SliceSettings) -> Slices:
    """Score both models on every slice that is large enough."""
    wanted = {name: find_column(scored.frame.columns, name) for name in settings.columns}
    columns = tuple(dict.fromkeys([*filter(None, wanted.values()), *_few_levels(scored)]))
    found, too_small = [], 0
    for column in columns:
        for value, mask in _values(scored.frame[column]):
            if _is_large_enough(scored.labels[mask], settings.min_rows):
                found.append(_slice(scored, column, value, mask))
            else:
                too_small += 1
    absent = tuple(name for name, column in wanted.items() if column is None)
    return Slices(columns=columns, absent=absent, found=tuple(found), too_small=too_small)


def _few_levels(scored: ScoredRows) -> list[str]:
    texts = scored.schema.features_of(Kind.TEXT)
    return [name for name in texts if scored.frame[name].nunique(dropna=False) <= _LEVELS_MAX]


def _values(column: pd.Series) -> Iterator[tuple[str, np.ndarray]]:
    """The most frequent values as text, and which rows have them."""
    codes, levels = pd.factorize(column, use_na_sentinel=False)
    frequent = np.argsort(-np.bincount(codes), kind="stable")[:_SLICES_MAX]
    for code in frequent:
        yield _named(levels[code]), codes == code


def _named(level: object) -> str:
    if pd.isna(level):
        return MISSING
    return f"{level:g}" if isinstance(level, float) else str(level)


def _is_large_enough(labels: np.ndarray, min_rows: int) -> bool:
    positives = int(labels.sum())
    return len(labels) >= min_rows and min(positives, len(labels) - positives) >= _CLASS_ROWS_MIN


def _slice(scored: ScoredRows, column: str, value: str, mask: np.ndarray) -> Slice:
    labels = scored.labels[mask]
    return Slice(
        column=column,
        value=value,
        rows=len(labels),
        positives=int(labels.sum()),
        candidate=metrics_of(scored.candidate[mask], labels),
        champion={} if scored.champion is None else metrics_of(scored.champion[mask], labels),
    )
