"""Columns of strings to typed columns: which one is meant by a name, what kind it is, and which values are refused."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.errors import BadDrop
from pipelines.parameters import DataSettings
from pipelines.reading import RawDrop
from pipelines.schema import Kind, Schema

_NUMBER = r"(?i)^[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf(?:inity)?)$"
_SHOWN_MAX = 12
_SAMPLE_ROWS = 10_000


def find_column(names: Iterable[str], wanted: str) -> str | None:
    """The column that is meant: by its exact name, or by the only one that differs in case and spaces alone.

    Raises:
        BadDrop: Several columns are alike.
    """
    names = list(names)
    if wanted in names:
        return wanted
    alike = [name for name in names if _normal(name) == _normal(wanted)]
    if len(alike) > 1:
        msg = f"columns {quoted(alike)} could all be '{wanted}': rename the others"
        raise BadDrop(msg)
    return alike[0] if alike else None


def require_column(names: Iterable[str], wanted: str, *, role: str) -> str:
    """The column that is meant, which has to exist.

    Args:
        names: The columns of the drop.
        wanted: The configured name.
        role: What the column is for, as `target`.

    Raises:
        BadDrop: There is no such column, or several.
    """
    names = list(names)
    found = find_column(names, wanted)
    if found is None:
        msg = f"there is no {role} column '{wanted}': the columns are {quoted(names)}"
        raise BadDrop(msg)
    return found


def quoted(names: Sequence[str]) -> str:
    """Names for a sentence, the first dozen of them."""
    more = f" and {len(names) - _SHOWN_MAX} more" if len(names) > _SHOWN_MAX else ""
    return ", ".join(f"'{name}'" for name in names[:_SHOWN_MAX]) + more


def as_numbers(column: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """The cells as float64; those that are no numbers are null, so that one value is read alike in any column."""
    try:
        return pc.cast(column, pa.float64())
    except pa.ArrowInvalid:
        number = pc.match_substring_regex(column, _NUMBER)
        return pc.cast(pc.if_else(number, column, pa.scalar(None, pa.string())), pa.float64())


def kind_of(columns: Sequence[pa.ChunkedArray], *, remembered: Kind | None) -> Kind:
    """What a column is, over all drops of a window.

    Args:
        columns: The string column of each drop that has it.
        remembered: What it is for the champion: digits in a column of texts are texts.
    """
    if all(column.null_count == len(column) for column in columns):
        return Kind.EMPTY
    if remembered is Kind.TEXT:
        return Kind.TEXT
    numeric = all(as_numbers(column).null_count == column.null_count for column in columns)
    return Kind.NUMERIC if numeric else Kind.TEXT


def check_schema(raw: RawDrop, schema: Schema, champion: Schema) -> None:
    """Compare a drop with what the champion was trained on.

    Raises:
        BadDrop: Columns are missing or new, or hold something else.
    """
    missing = [name for name in champion.columns if name not in schema.columns]
    new = [name for name in schema.columns if name not in champion.columns]
    changes = ([f"{quoted(missing)} missing"] if missing else []) + ([f"{quoted(new)} new"] if new else [])
    if changes:
        msg = (
            f"the columns differ from those the champion was trained on: {'; '.join(changes)}; "
            "correct the file, or set allow_schema_change"
        )
        raise BadDrop(msg)
    for name, kind in schema.columns.items():
        if kind is Kind.TEXT and champion.columns[name] is Kind.NUMERIC:
            refuse_text(raw, name)


def refuse_text(raw: RawDrop, name: str, *, whose: str = "the champion") -> None:
    """Raise about the first cell of a column that should be a number.

    Args:
        raw: The drop.
        name: The column.
        whose: For whom it holds numbers.

    Raises:
        BadDrop: There is one.
    """
    column = raw.table[name]
    wrong = pc.and_(pc.is_valid(column), pc.is_null(as_numbers(column)))
    row = pc.index(wrong, value=True).as_py()
    if row >= 0:
        msg = f"column '{name}' holds numbers for {whose}, but {raw.place(row + 1)} has '{shortened(column[row].as_py())}'"
        raise BadDrop(msg)


def typed_frame(raw: RawDrop, schema: Schema) -> pd.DataFrame:
    """The columns of the schema with their types.

    Returns:
        One row per row of the drop, indexed from 1 as people count; float64 with NaN, texts with NaN that are `category`
        where they recur, so that each is kept once, and `str` elsewhere; a column that the drop lacks is missing throughout.

    Raises:
        BadDrop: A number is infinite.
    """
    index = pd.RangeIndex(1, raw.table.num_rows + 1)
    frame = pd.DataFrame({name: _typed(raw, name, kind) for name, kind in schema.columns.items()})
    frame.index = index
    return frame


def _typed(raw: RawDrop, name: str, kind: Kind) -> Any:  # noqa: ANN401 - an array that pandas takes
    if name not in raw.table.column_names or kind is Kind.EMPTY:
        return pd.Series(np.full(raw.table.num_rows, np.nan))
    if kind is Kind.TEXT:
        return _texts(raw.table[name])
    values = as_numbers(raw.table[name]).to_pandas().astype("float64")
    infinite = np.flatnonzero(np.isinf(values.to_numpy()))
    if len(infinite):
        row = int(infinite[0])
        msg = f"column '{name}', {raw.place(row + 1)}: '{shortened(raw.table[name][row].as_py())}' is not a finite number"
        raise BadDrop(msg)
    return values


def _texts(column: pa.ChunkedArray) -> pd.Series:
    if _recur(column.slice(0, _SAMPLE_ROWS)):
        encoded = column.dictionary_encode().to_pandas()
        if 2 * len(encoded.cat.categories) <= len(encoded):
            return encoded
    return column.to_pandas().astype("str")


def _recur(texts: pa.ChunkedArray) -> bool:
    """Whether texts occur twice on average."""
    distinct: int = pc.count_distinct(texts, mode="only_valid").as_py()
    return 2 * distinct <= len(texts)


def check_ranges(raw: RawDrop, frame: pd.DataFrame, settings: DataSettings) -> None:
    """Compare the values with the configured ranges.

    Raises:
        BadDrop: A value is out of range, a range's column is missing or is not numeric.
    """
    for wanted, (low, high) in settings.ranges.items():
        name = require_column(frame.columns, wanted, role="range-checked")
        if frame[name].dtype != np.float64:
            refuse_text(raw, name)
        outside = ~frame[name].between(low, high) & frame[name].notna()
        if outside.any():
            row = int(outside.idxmax())
            value = f"{frame[name][row]:g}"
            msg = f"column '{name}', {raw.place(row)}: {value} is outside the allowed {low:g} to {high:g}"
            raise BadDrop(msg)


def shortened(text: str) -> str:
    """A cell's text for a sentence."""
    return text if len(text) <= 40 else f"{text[:40]}…"  # noqa: PLR2004 - enough to recognise it


def _normal(name: str) -> str:
    return "".join(name.split()).casefold()
