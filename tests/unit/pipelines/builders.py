"""Drops in memory, with sensible defaults; a test overrides only what matters to it."""

import gzip
import io
import tarfile
from collections.abc import Mapping
from typing import Any, cast

from pipelines.cleaning import Prepared, prepare
from pipelines.opening import BUFFER_BYTES, unpack
from pipelines.parameters import DataSettings, Drop
from pipelines.reading import RawDrop, read_streams
from pipelines.schema import Kind, Schema

HEADER = "Tenure,Charges,Contract,Churn"


def a_drop(period: str = "2025-03") -> Drop:
    """A drop whose bytes are elsewhere."""
    return Drop(uri=f"file:///drops/churn_data_{period}.csv", generation="1", checksum="sha256:0", period=period)


def read(content: bytes, *, max_bytes: int = 1 << 26, period: str = "2025-03") -> RawDrop:
    """Read a drop from memory, as it is read from a bucket."""
    stream = cast("io.BufferedReader", io.BufferedReader(io.BytesIO(content), BUFFER_BYTES))
    return read_streams(a_drop(period), unpack(stream, max_bytes))


def a_csv(rows: int = 200, *, header: str = HEADER, edits: Mapping[int, str] | None = None) -> bytes:
    """A drop with two numbers, a text and a label, deterministic; `edits` replaces rows, which count from 1."""
    lines = [f"{number % 60},{20 + number % 83}.5,{'ABC'[number % 3]},{int(number % 4 == 0)}" for number in range(1, rows + 1)]
    for number, line in (edits or {}).items():
        lines[number - 1] = line
    return "\n".join([header, *lines, ""]).encode()


def prepared(*contents: bytes, champion: Schema | None = None, **settings: Any) -> Prepared:  # noqa: ANN401 - any setting
    """Drops from memory, one per month, ready for training."""
    raws = [read(content, period=f"2025-{month:02}") for month, content in enumerate(contents, start=1)]
    return prepare(raws, DataSettings(**settings), champion)


def a_schema(**columns: Kind) -> Schema:
    """A schema of some columns, all of them features."""
    return Schema(target="Churn", entity_column="", columns=columns)


def a_tar(members: Mapping[str, bytes], *extra: tarfile.TarInfo) -> bytes:
    """A .tar.gz of files, and of whatever else an archive may hold."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in extra:
            archive.addfile(info)
    return gzip.compress(buffer.getvalue(), mtime=0)
