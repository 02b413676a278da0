"""A drop's cells as trimmed strings with nulls; what they mean - numbers, labels - is decided in `columns` and `cleaning`."""

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.csv_text import CsvText, open_csv
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
        before: Rows of the first part that come before this table, when it is only a block of the drop.
    """

    drop: Drop
    table: pa.Table
    parts: tuple[tuple[str, int], ...]
    complete: bool
    before: int = 0

    def place(self, row: int) -> str:
        """How a person finds a row again.

        Args:
            row: Counts from 1 over all parts, headers not counted; from 1 in a block, too.
        """
        before = 0
        for name, rows in self.parts:
            if name and row <= before + rows:
                return f"row {self.before + row - before} of {name}"
            before += rows
        return f"row {self.before + row}"


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
    blocks = Blocks(drop, streams)
    table = pa.concat_tables([block.table for block in blocks])
    return RawDrop(drop=drop, table=table, parts=tuple(blocks.parts), complete=blocks.complete)


class Blocks:
    """The rows of a drop in blocks of about a megabyte, in order; to be iterated once.

    Args:
        drop: Where they come from.
        streams: Name and bytes of each part, each with a header.

    Attributes:
        parts: Name and number of rows of each part that was read so far.
        complete: Whether each of them ended with a line break.
    """

    def __init__(self, drop: Drop, streams: Iterable[tuple[str, io.BufferedReader]]) -> None:
        self._drop, self._streams = drop, streams
        self._columns: Sequence[str] = ()
        self.parts: list[tuple[str, int]] = []
        self.complete = True

    def __iter__(self) -> Iterator[RawDrop]:
        """Each block as a drop of its own that knows where it stands.

        Raises:
            BadDrop: A part is broken, the parts do not fit together, or there are no rows.
        """
        for name, stream in self._streams:
            with _about_part(name):
                text = open_csv(stream)
            if text is not None:
                yield from self._part(name, text)
            elif name:
                say(f"skipped {name}: it is empty")
        if not self.parts:
            msg = "the file holds nothing but blanks"
            raise BadDrop(msg)
        if not sum(rows for _, rows in self.parts):
            msg = "the file has a header but no rows"
            raise BadDrop(msg)

    def _part(self, name: str, text: CsvText) -> Iterator[RawDrop]:
        self._columns = self._columns or text.names
        _check_same_columns(name, text.names, self._columns)
        count = 0
        with _about_part(name):
            for batch in text:
                cells = _cells(batch, decimal_comma=text.separator != ",").select(self._columns)
                yield RawDrop(drop=self._drop, table=cells, parts=((name, cells.num_rows),), complete=True, before=count)
                count += cells.num_rows
        self.parts.append((name, count))
        self.complete = self.complete and text.complete


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


def _check_same_columns(name: str, names: Sequence[str], expected: Sequence[str]) -> None:
    if set(names) != set(expected):
        different = ", ".join(f"'{column}'" for column in sorted(set(names) ^ set(expected)))
        msg = f"the parts of the archive have different columns: {name} differs from the first part in {different}"
        raise BadDrop(msg)


def _cells(block: pa.RecordBatch, *, decimal_comma: bool) -> pa.Table:
    """Trim every cell and turn the many spellings of a missing one into null."""
    columns = [_cell_column(column, decimal_comma=decimal_comma) for column in block.columns]
    return pa.Table.from_arrays(columns, names=block.schema.names)


def _cell_column(column: pa.Array, *, decimal_comma: bool) -> pa.Array:
    trimmed = pc.utf8_trim_whitespace(column)
    if decimal_comma:
        trimmed = pc.replace_substring_regex(trimmed, pattern=_DECIMAL_COMMA, replacement=r"\1.\2")
    missing = pc.is_in(pc.utf8_lower(trimmed), value_set=_MISSING)
    return pc.if_else(missing, pa.scalar(None, pa.string()), trimmed)
