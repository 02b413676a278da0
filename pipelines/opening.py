"""From a drop's URI to the streams of CSV text in it: checksum, gzip, tar, with bounds; nothing is unpacked to disk."""

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, BinaryIO
from urllib.parse import unquote, urlsplit

from pipelines.errors import BadDrop, BadSettings, DropChanged
from pipelines.fingerprint import Fingerprint, fingerprint_like
from pipelines.parameters import Drop
from pipelines.progress import say

if TYPE_CHECKING:
    from typing_extensions import Buffer

BUFFER_BYTES = 1 << 16
_MEMBERS_MAX = 10_000
_TAR_MAGIC = slice(257, 262)
_FOREIGN = {
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"PAR1": "a Parquet file",
    b"%PDF": "a PDF document",
}


@contextmanager
def open_object(drop: Drop) -> Iterator[BinaryIO]:
    """Open the object that holds a drop for reading; the one place that knows the schemes.

    Raises:
        DropChanged: There is no such object any more.
        BadSettings: The scheme is not supported.
    """
    parts = urlsplit(drop.uri)
    if parts.scheme == "gs":
        from pipelines.google_storage import open_google_object

        with open_google_object(drop) as stream:
            yield stream
        return
    if parts.scheme != "file":
        msg = f"{drop.uri} cannot be opened: only file:// and gs:// are supported"
        raise BadSettings(msg)
    path = Path(unquote(parts.path))
    if not path.exists():
        msg = f"{drop.uri} is no longer there"
        raise DropChanged(msg)
    with path.open("rb", buffering=0) as stream:
        yield stream


@contextmanager
def open_drop(drop: Drop, *, max_bytes: int) -> Iterator[Iterator[tuple[str, io.BufferedReader]]]:
    """Open the CSV streams of a drop; on leaving, the bytes are checked against the drop's checksum.

    Args:
        drop: What to open.
        max_bytes: Bound on the object and, separately, on what it unpacks to.

    Returns:
        Pairs of a part's name (empty when the drop is a single file) and its bytes, to be consumed in this order.

    Raises:
        BadDrop: It cannot be unpacked; on leaving.
        DropChanged: The bytes are not those the run was launched for; takes precedence over any fault in them.
    """
    with open_object(drop) as stream:
        source = _Source(stream, fingerprint_like(drop.checksum), max_bytes)
        try:
            yield unpack(io.BufferedReader(source, BUFFER_BYTES), max_bytes)
        except BadDrop:
            source.verify(drop)
            raise
        source.verify(drop)


class _Source(io.RawIOBase):
    """The object's bytes, counted and hashed as they are read."""

    def __init__(self, stream: BinaryIO, fingerprint: Fingerprint, max_bytes: int) -> None:
        super().__init__()
        self._stream, self._max_bytes = stream, max_bytes
        self._count, self._fingerprint = 0, fingerprint

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "Buffer") -> int:
        view = memoryview(buffer)
        data = self._stream.read(len(view))
        view[: len(data)] = data
        self._fingerprint.update(data)
        self._count += len(data)
        if self._count > self._max_bytes:
            msg = f"the file is larger than the {self._max_bytes:,} bytes that max_drop_bytes allows"
            raise BadDrop(msg)
        return len(data)

    def verify(self, drop: Drop) -> None:
        """Read on to the end, unless the file is too large anyway, and compare the checksum."""
        if self._count > self._max_bytes:
            return
        block = bytearray(1 << 20)
        while self.readinto(block):
            pass
        actual = self._fingerprint.value()
        if actual != drop.checksum:
            msg = f"{drop.uri} changed since this run was launched: expected {drop.checksum}, found {actual}"
            raise DropChanged(msg)


class _Unpacked(io.RawIOBase):
    """A gzip stream's content, bounded; a cut or corrupt stream is the drop's fault."""

    def __init__(self, packed: io.BufferedReader, max_bytes: int) -> None:
        super().__init__()
        self._content = gzip.GzipFile(fileobj=packed, mode="rb")
        self._max_bytes, self._count = max_bytes, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "Buffer") -> int:
        view = memoryview(buffer)
        try:
            data = self._content.read(len(view))
        except EOFError as exc:
            msg = f"the gzip stream ends too early, after {self._count:,} unpacked bytes: upload the whole file"
            raise BadDrop(msg) from exc
        except (gzip.BadGzipFile, zlib.error) as exc:
            msg = f"the gzip stream is damaged after {self._count:,} unpacked bytes: {exc}"
            raise BadDrop(msg) from exc
        view[: len(data)] = data
        self._count += len(data)
        if self._count > self._max_bytes:
            msg = f"the file unpacks to more than the {self._max_bytes:,} bytes that max_drop_bytes allows"
            raise BadDrop(msg)
        return len(data)


class _Member(io.RawIOBase):
    """A file in a tar archive; a cut archive is the drop's fault."""

    def __init__(self, content: IO[bytes]) -> None:
        super().__init__()
        self._content = content

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "Buffer") -> int:
        view = memoryview(buffer)
        with _damage_refused():
            data = self._content.read(len(view))
        view[: len(data)] = data
        return len(data)


@contextmanager
def _damage_refused() -> Iterator[None]:
    try:
        yield
    except tarfile.TarError as exc:
        msg = f"the tar archive is damaged or cut off: {exc}"
        raise BadDrop(msg) from exc


def unpack(stream: io.BufferedReader, max_bytes: int) -> Iterator[tuple[str, io.BufferedReader]]:
    """The CSV streams in an object; its first bytes tell the format, for a wrong suffix is no reason to refuse a drop.

    Args:
        stream: The object's bytes.
        max_bytes: Bound on what it unpacks to.

    Returns:
        Pairs of a part's name (empty when the object is a single file) and its bytes, to be consumed in this order.

    Raises:
        BadDrop: It cannot be unpacked.
    """
    head = stream.peek(BUFFER_BYTES)
    if not head:
        msg = "the file is empty (0 bytes)"
        raise BadDrop(msg)
    if head.startswith(b"\x1f\x8b"):
        stream = io.BufferedReader(_Unpacked(stream, max_bytes), BUFFER_BYTES)
        head = stream.peek(BUFFER_BYTES)
    for magic, name in _FOREIGN.items():
        if head.startswith(magic):
            msg = f"the file is {name}, not CSV, CSV in gzip, or a .tar.gz of CSV files"
            raise BadDrop(msg)
    if head[_TAR_MAGIC] == b"ustar":
        yield from _members(stream)
    else:
        yield "", stream


def _members(stream: io.BufferedReader) -> Iterator[tuple[str, io.BufferedReader]]:
    found = False
    with _damage_refused(), tarfile.open(fileobj=stream, mode="r|") as archive:
        for number, member in enumerate(archive):
            content = archive.extractfile(member) if _wanted(member, number) else None
            if content is not None:
                found = True
                yield member.name, io.BufferedReader(_Member(content), BUFFER_BYTES)
    if not found:
        msg = "the tar archive holds no .csv file"
        raise BadDrop(msg)


def _wanted(member: tarfile.TarInfo, number: int) -> bool:
    """Whether an archive member is a part.

    Raises:
        BadDrop: The archive holds something that no honest drop needs.
    """
    path = PurePosixPath(member.name)
    if number >= _MEMBERS_MAX:
        msg = f"the tar archive holds more than {_MEMBERS_MAX:,} entries"
        raise BadDrop(msg)
    if path.is_absolute() or ".." in path.parts:
        msg = f"the tar archive holds '{member.name}', a path that leaves the folder"
        raise BadDrop(msg)
    if not (member.isreg() or member.isdir()) or member.issparse():
        msg = f"the tar archive holds '{member.name}', which is no regular file: links and devices are refused"
        raise BadDrop(msg)
    wanted = member.isreg() and path.suffix.lower() == ".csv" and not path.name.startswith(".")
    if member.isreg() and not wanted:
        say(f"skipped {member.name}: not a .csv file")
    return wanted
