"""A drop's cells as trimmed strings with nulls; what they mean - numbers, labels - is decided in `columns` and `cleaning`."""

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.csv_text import CsvTable, read_csv
from pipelines.errors import BadDrop
from pipelines.opening import open_drop
from pipelines.parameters import Drop
from pipelines.progress import say

_MISSING = pa.array(["", "na", "n/a", "#n/a", "nan", "null", "none", "\\n", "?", "-", "--"])
_DECIMAL_COMMA = r"^([+-]?\d+),(\d+)$"


@dataclass(frozen=True, slots=True, kw_only=True)
class RawDrop:
    """The cells of a drop as they were written.

    Attributes:
        drop: Where they came from.
        table: String columns, trimmed, missing cells null; the rows of all parts in order.
        parts: Name and number of rows of each part; one part with an empty name for a single file.
        complete: Whether the text ends with a line break, as files do that were written to the end.
    """

    drop: Drop
    table: pa.Table
    parts: tuple[tuple[str, int], ...]
    complete: bool

    def place(self, row: int) -> str:
        """How a person finds a row again.

        Args:
            row: Counts from 1 over all parts, headers not counted.
        """
        before = 0
        for name, rows in self.parts:
            if name and row <= before + rows:
                return f"row {row - before} of {name}"
            before += rows
        return f"row {row}"


def read_drop(drop: Drop, *, max_bytes: int) -> RawDrop:
    """Read `.csv`, `.csv.gz` or a `.tar.gz` of CSV parts.

    Args:
        drop: What to read; its bytes must have its checksum.
        max_bytes: Bound on the object and on what it unpacks to.

    Raises:
        BadDrop: It can never be read; one sentence says what is wrong and where.
        DropChanged: The object holds other bytes by now.
    """
    with open_drop(drop, max_bytes=max_bytes) as streams:
        return read_streams(drop, streams)


def read_streams(drop: Drop, streams: Iterable[tuple[str, io.BufferedReader]]) -> RawDrop:
    """Read the CSV streams of a drop, each with a header, into one table.

    Args:
        drop: Where they come from.
        streams: Name and bytes of each part.

    Raises:
        BadDrop: A part is broken, the parts do not fit together, or there are no rows.
    """
    parts: dict[str, CsvTable] = {}
    for name, stream in streams:
        with _about_part(name):
            part = read_csv(stream)
        if part is not None:
            parts[name] = part
        elif name:
            say(f"skipped {name}: it is empty")
    table = _merge(parts)
    counts = tuple((name, part.table.num_rows) for name, part in parts.items())
    return RawDrop(drop=drop, table=table, parts=counts, complete=all(part.complete for part in parts.values()))


@contextmanager
def _about_part(name: str) -> Iterator[None]:
    """Say which part of an archive a fault is in."""
    try:
        yield
    except BadDrop as exc:
        if not name:
            raise
        msg = f"in {name}: {exc.reason}"
        raise BadDrop(msg) from exc


def _merge(parts: dict[str, CsvTable]) -> pa.Table:
    if not parts:
        msg = "the file holds nothing but blanks"
        raise BadDrop(msg)
    tables = [_cells(part) for part in parts.values()]
    for name, table in zip(parts, tables, strict=True):
        _check_same_columns(name, table.column_names, tables[0].column_names)
    merged = pa.concat_tables([table.select(tables[0].column_names) for table in tables])
    if not merged.num_rows:
        msg = "the file has a header but no rows"
        raise BadDrop(msg)
    return merged


def _check_same_columns(name: str, names: Sequence[str], expected: Sequence[str]) -> None:
    if set(names) != set(expected):
        different = ", ".join(f"'{column}'" for column in sorted(set(names) ^ set(expected)))
        msg = f"the parts of the archive have different columns: {name} differs from the first part in {different}"
        raise BadDrop(msg)


def _cells(part: CsvTable) -> pa.Table:
    """Trim every cell and turn the many spellings of a missing one into null."""
    columns = [_cell_column(column, decimal_comma=part.separator != ",") for column in part.table.columns]
    return pa.table(columns, names=part.table.column_names)


def _cell_column(column: pa.ChunkedArray, *, decimal_comma: bool) -> pa.ChunkedArray:
    trimmed = pc.utf8_trim_whitespace(column)
    if decimal_comma:
        trimmed = pc.replace_substring_regex(trimmed, pattern=_DECIMAL_COMMA, replacement=r"\1.\2")
    missing = pc.is_in(pc.utf8_lower(trimmed), value_set=_MISSING)
    return pc.if_else(missing, pa.scalar(None, pa.string()), trimmed)
