"""The target column's spellings to 0 and 1."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.columns import as_numbers, quoted, shortened
from pipelines.errors import BadDrop
from pipelines.parameters import DataSettings
from pipelines.reading import RawDrop

_KNOWN = {"no": 0, "false": 0, "yes": 1, "true": 1}


def labels(raw: RawDrop, target: str, settings: DataSettings) -> np.ndarray:
    """The labels of a drop.

    Args:
        raw: The drop.
        target: Its target column.
        settings: The label that counts as 1, when the labels are not the usual ones.

    Returns:
        float64, one per row: 0, 1, or NaN where the label is missing.

    Raises:
        BadDrop: A label is unknown, or all are the same.
    """
    encoded = pc.dictionary_encode(raw.table[target].combine_chunks())
    distinct = encoded.dictionary.to_pylist()
    known = _positive(distinct, target, settings.positive_label) if settings.positive_label else _usual(distinct)
    for number, label in enumerate(distinct):
        if label not in known:
            row = pc.index(encoded.indices, value=pa.scalar(number, encoded.indices.type)).as_py() + 1
            msg = (
                f"column '{target}', {raw.place(row)}: label '{shortened(label)}' is not 0/1, yes/no or true/false; "
                "correct it, or set positive_label"
            )
            raise BadDrop(msg)
    values = np.array([known[label] for label in distinct], dtype="float64")
    _refuse_one_class(values, target, raw.table.num_rows)
    return _spread(encoded.indices, values)


def _usual(distinct: list[str]) -> dict[str, int]:
    numbers = as_numbers(pa.array(distinct, pa.string())).to_pylist()
    known = {}
    for label, number in zip(distinct, numbers, strict=True):
        value = int(number) if number in {0.0, 1.0} else _KNOWN.get(_plain(label))
        if value is not None:
            known[label] = value
    return known


def _positive(distinct: list[str], target: str, positive: str) -> dict[str, int]:
    plain = {label: _plain(label) for label in distinct}
    if len(set(plain.values())) > 2:  # noqa: PLR2004 - the positive label and the other one
        msg = (
            f"column '{target}' has the labels {quoted(distinct)}: besides positive_label '{positive}' only one other is possible"
        )
        raise BadDrop(msg)
    return {label: int(value == _plain(positive)) for label, value in plain.items()}


def _plain(label: str) -> str:
    return label.casefold().rstrip(".")


def _refuse_one_class(values: np.ndarray, target: str, rows: int) -> None:
    if not len(values):
        msg = f"column '{target}' is empty in all {rows:,} rows"
        raise BadDrop(msg)
    if len(set(values)) == 1:
        msg = f"every row has the same label in column '{target}' ({int(values[0])}): there is nothing to tell apart"
        raise BadDrop(msg)


def _spread(indices: pa.Array, values: np.ndarray) -> np.ndarray:
    """The value of each index, NaN where it is null."""
    positions = pc.fill_null(indices, len(values)).to_numpy(zero_copy_only=False)
    spread: np.ndarray = np.append(values, np.nan)[positions]
    return spread
