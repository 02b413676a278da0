"""One stream of CSV text to blocks of strings, and one sentence for every way such a text can be broken."""

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv as pcsv

from pipelines.errors import BadDrop
from pipelines.opening import BUFFER_BYTES

if TYPE_CHECKING:
    from typing_extensions import Buffer

_SEPARATORS = ",;\t|"
_BOM = b"\xef\xbb\xbf"
_LINE_BYTES_MAX = 1 << 20
_COLUMNS_MAX = 10_000


class CsvText:
    """A text with a header, parsed block by block; to be iterated once.

    Attributes:
        names: The columns.
        separator: What separates the cells.
    """

    def __init__(self, stream: io.BufferedReader, header: "_Header") -> None:
        self.names, self.separator = header.names, header.separator
        self._header = header
        self._text = _Text(stream)

    @property
    def complete(self) -> bool:
        """Whether the text ends with a line break, as files do that were written to the end; known after the last block."""
        return self._header.alone or self._text.last_byte in b"\r\n"

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """String columns as written, named by the header.

        Raises:
            BadDrop: It is not CSV, or not a whole one; known at the end at the latest.
        """
        if self._header.alone:
            return
        rows, count, last = _Rows(self._header), 0, None
        for batch in _parse(self._text, self._header, rows):
            if batch.num_rows:
                count, last = count + batch.num_rows, batch
                yield batch
        rows.refuse_ragged(last=count + 1)
        if last is not None:
            _refuse_open_quote(self._text, last, count)


def open_csv(stream: io.BufferedReader) -> CsvText | None:
    """Look at the header of a text; None when it is empty.

    Args:
        stream: UTF-8 with or without byte order mark, LF or CRLF, separated by comma, semicolon, tab or bar.

    Raises:
        BadDrop: It is not CSV.
    """
    header = _read_header(stream.peek(BUFFER_BYTES))
    return None if header is None else CsvText(stream, header)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    """The first line that is not blank.

    Attributes:
        lines: Number of lines up to and including it.
        alone: Whether nothing follows it.
    """

    names: tuple[str, ...]
    separator: str
    lines: int
    alone: bool


def _read_header(head: bytes) -> _Header | None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        msg = "the file is UTF-16: save it as UTF-8"
        raise BadDrop(msg)
    if b"\0" in head:
        msg = "the file is binary, not CSV text"
        raise BadDrop(msg)
    body = head.removeprefix(_BOM)
    text = body.lstrip(b"\r\n")
    if not text.strip():
        return None
    line, newline, rest = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").partition(b"\n")
    if not newline and len(head) >= BUFFER_BYTES:
        msg = f"the first line is longer than {BUFFER_BYTES // 1024} KiB: this is not CSV, or its line breaks are missing"
        raise BadDrop(msg)
    blank = body[: len(body) - len(text)].replace(b"\r\n", b"\n")
    separator, names = _names(line)
    return _Header(names=names, separator=separator, lines=len(blank) + 1, alone=not rest.strip())


def _names(line: bytes) -> tuple[str, tuple[str, ...]]:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as exc:
        wrong = f"byte {line[exc.start]:#04x} at position {exc.start + 1}"
        msg = f"the header is not UTF-8 text ({wrong}): this is no CSV file, or it has to be saved as UTF-8"
        raise BadDrop(msg) from exc
    separator = max(_SEPARATORS, key=text.count)
    cells = next(csv.reader([text], delimiter=separator))
    names = tuple(cell.strip() or f"unnamed_{number}" for number, cell in enumerate(cells, start=1))
    _check_names(names)
    return separator, names


def _check_names(names: Sequence[str]) -> None:
    if len(names) > _COLUMNS_MAX:
        msg = f"the header has {len(names):,} columns, at most {_COLUMNS_MAX:,} are read"
        raise BadDrop(msg)
    for number, name in enumerate(names):
        if name in names[:number]:
            msg = f"the header names column '{name}' twice, as columns {names.index(name) + 1} and {number + 1}"
            raise BadDrop(msg)


class _Text(io.RawIOBase):
    """The text on its way to the parser: refuses what is not UTF-8, remembers what the parser does not tell."""

    def __init__(self, stream: io.BufferedReader) -> None:
        super().__init__()
        self._stream = stream
        self._decoder, self._line = codecs.getincrementaldecoder("utf-8")(), 1
        self.quotes, self.last_byte = 0, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "Buffer") -> int:
        view = memoryview(buffer)
        data = self._stream.read(len(view))
        view[: len(data)] = data
        self._check_utf8(data)
        self.quotes += data.count(b'"')
        self.last_byte = data[-1:] or self.last_byte
        return len(data)

    def _check_utf8(self, data: bytes) -> None:
        try:
            self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as exc:
            line = self._line + exc.object[: exc.start].count(b"\n")
            msg = f"line {line} holds a byte that is not UTF-8 text ({exc.object[exc.start]:#04x}): save the file as UTF-8"
            raise BadDrop(msg) from exc
        self._line += data.count(b"\n")


class _Rows:
    """What the parser reports of rows whose number of cells is not that of the header."""

    def __init__(self, header: _Header) -> None:
        self._expected = len(header.names)
        self._lines = header.lines
        self.ragged: tuple[int, int] | None = None

    def on_ragged(self, row: Any) -> str:  # noqa: ANN401 - pyarrow's InvalidRow
        """Skip the first such row, to learn whether it is the last of the file; a second one settles it."""
        if self.ragged is not None:
            return "error"
        self.ragged = (row.number - self._lines, row.actual_columns)
        return "skip"

    def refuse_ragged(self, *, last: int | None) -> None:
        """Raise when there was such a row.

        Args:
            last: Number that the last row of the file would have if it was the ragged one; None when there are more.

        Raises:
            BadDrop: There was one.
        """
        if self.ragged is None:
            return
        row, cells = self.ragged
        if row == last and cells < self._expected:
            msg = f"the file ends in the middle of row {row}: it has {cells} of {self._expected} cells; upload the whole file"
            raise BadDrop(msg)
        msg = f"row {row} has {cells} cells, the header has {self._expected}"
        raise BadDrop(msg)


def _parse(text: _Text, header: _Header, rows: _Rows) -> Iterator[pa.RecordBatch]:
    try:
        yield from pcsv.open_csv(
            pa.PythonFile(text, mode="r"),
            # rows are numbered only when a single thread parses
            read_options=pcsv.ReadOptions(
                use_threads=False, block_size=_LINE_BYTES_MAX, column_names=list(header.names), skip_rows=header.lines
            ),
            parse_options=pcsv.ParseOptions(
                delimiter=header.separator, newlines_in_values=True, invalid_row_handler=rows.on_ragged
            ),
            convert_options=pcsv.ConvertOptions(
                column_types=dict.fromkeys(header.names, pa.string()), strings_can_be_null=False, check_utf8=False
            ),
        )
    except pa.ArrowInvalid as exc:
        rows.refuse_ragged(last=None)
        raise BadDrop(_explain(str(exc))) from exc


def _explain(error: str) -> str:
    """Arrow's error in words for the owner of the file."""
    if "straddling" in error:
        return f"a line is longer than {_LINE_BYTES_MAX >> 20} MiB, or a quote is opened and never closed"
    return f"the file cannot be read as CSV: {error.splitlines()[0]}"


def _refuse_open_quote(text: _Text, block: pa.RecordBatch, row: int) -> None:
    """Arrow takes everything after an unclosed quote as one cell, so the last row tells.

    Args:
        text: The text, read to its end.
        block: The last one that has rows.
        row: Number of its last row.
    """
    if text.quotes % 2 == 0:
        return
    last = [column[-1].as_py() for column in block.columns]
    if "\n" in "".join(last) or text.last_byte not in b"\r\n":
        msg = f"a quote is opened in row {row} and never closed"
        raise BadDrop(msg)
