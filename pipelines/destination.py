"""Where predictions go: a file or an object that appears whole, once everything is in it, and never in part.

They are written beside under a name of the run's own, and renamed or uploaded at the end. So a crash leaves what was there
before, and a repetition overwrites what the crash has left.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from pipelines.errors import BadSettings
from pipelines.fingerprint import fingerprint_like

SUFFIXES = (".parquet", ".csv")
_GROUP_ROWS = 200_000
_BLOCK_BYTES = 1 << 20
Write = Callable[[pa.Table], None]


@dataclass(slots=True, kw_only=True)
class Destination:
    """A place to write to.

    Attributes:
        uri: `file:///…` or `gs://bucket/object`, ending in `.parquet` or `.csv`.
        checksum: Of what was written, see `fingerprint`; empty before it is there.
    """

    uri: str
    checksum: str = ""

    @contextmanager
    def replaced(self, run_key: str) -> Iterator[Write]:
        """Write a table piece by piece; it appears when the context is left without an error.

        Args:
            run_key: Of the run; two that write to one place do not disturb each other.

        Raises:
            BadSettings: The place is of an unknown kind.
            FileExistsError: Somebody else wrote there meanwhile; Google Cloud Storage only.
        """
        scheme = self.uri.partition("://")[0]
        if scheme not in {"file", "gs"} or not self.uri.endswith(SUFFIXES):
            msg = f"{self.uri} cannot be written: only .parquet and .csv under file:// and gs:// are supported"
            raise BadSettings(msg)
        with self._scratch(run_key) as scratch:
            with _table_file(scratch, PurePosixPath(self.uri).suffix) as write:
                yield write
            self.checksum = _checksum(scratch, "crc32c:" if scheme == "gs" else "sha256:")
            self._publish(scratch)

    @contextmanager
    def _scratch(self, run_key: str) -> Iterator[Path]:
        """A file to write to, gone afterwards."""
        if self.uri.startswith("gs://"):
            with tempfile.TemporaryDirectory() as folder:
                yield Path(folder) / "predictions"
            return
        target = self._path
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = target.with_name(f".{target.name}.{run_key[:12]}.partial")
        try:
            yield scratch
        finally:
            scratch.unlink(missing_ok=True)

    def _publish(self, scratch: Path) -> None:
        if self.uri.startswith("gs://"):
            from pipelines.google_storage import upload_google_object

            upload_google_object(scratch, self.uri, self.checksum)
            return
        with scratch.open("rb") as stream:
            os.fsync(stream.fileno())
        scratch.replace(self._path)
        _flush_folder(self._path.parent)

    @property
    def _path(self) -> Path:
        return Path(unquote(urlsplit(self.uri).path))


def _checksum(path: Path, kind: str) -> str:
    fingerprint = fingerprint_like(kind)
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            fingerprint.update(block)
    return fingerprint.value()


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _table_file(path: Path, suffix: str) -> Iterator[Write]:
    """A file that grows table by table; a row group holds many of them, so that readers need not open each."""
    pending: list[pa.Table] = []
    writer: pq.ParquetWriter | pcsv.CSVWriter | None = None

    def flush() -> None:
        nonlocal writer
        table = pa.concat_tables(pending).combine_chunks()
        pending.clear()
        writer = writer or _writer(path, suffix, table.schema)
        writer.write_table(table)

    def write(table: pa.Table) -> None:
        pending.append(table)
        if sum(piece.num_rows for piece in pending) >= _GROUP_ROWS:
            flush()

    try:
        yield write
        if pending:
            flush()
    finally:
        if writer is not None:
            writer.close()


def _writer(path: Path, suffix: str, schema: pa.Schema) -> pq.ParquetWriter | pcsv.CSVWriter:
    if suffix == ".csv":
        return pcsv.CSVWriter(path, schema, write_options=pcsv.WriteOptions(quoting_style="needed"))
    return pq.ParquetWriter(path, schema, compression="zstd")
