"""Google Cloud Storage: a drop read in the generation that the run was launched for, byte by byte; a result written whole."""

import io
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud.storage import Blob, Bucket, Client

from pipelines.errors import DropChanged
from pipelines.parameters import Drop
from pipelines.progress import say

if TYPE_CHECKING:
    from typing_extensions import Buffer

CHUNK_BYTES = 8 << 20
"""Each is a request of its own, with retries: a connection that breaks costs no more than one."""


@contextmanager
def open_google_object(drop: Drop) -> Iterator[BinaryIO]:
    """Open `gs://bucket/object` at the drop's generation.

    An upload of the same bytes replaces the generation, unless the bucket keeps old ones, but not the content; then the
    newer one is read.

    Raises:
        DropChanged: The object is gone or holds other bytes; also while reading.
    """
    with closing(Client(project=None)) as client:  # objects belong to buckets, and only those to projects
        bucket, _, name = drop.uri.removeprefix("gs://").partition("/")
        generation = _current_generation(client.bucket(bucket), name, drop)
        # a blob that was fetched would be read by its media link, which need not name the generation
        blob = client.bucket(bucket).blob(name, generation=generation)
        # without raw_download the service would unpack what is stored with Content-Encoding: gzip, and the checksum not fit
        content = blob.open("rb", chunk_size=CHUNK_BYTES, raw_download=True, if_generation_match=generation)
        with io.BufferedReader(_Content(content, drop)) as stream:
            yield stream


def _current_generation(bucket: Bucket, name: str, drop: Drop) -> int:
    """The drop's own generation, or the one that replaced it with the same bytes."""
    pinned = bucket.get_blob(name, generation=int(drop.generation))
    if pinned is not None:
        return int(pinned.generation)
    current = bucket.get_blob(name)
    if current is None:
        msg = f"{drop.uri} is no longer there"
        raise DropChanged(msg)
    actual = _content(current)
    if actual != drop.checksum:
        msg = (
            f"{drop.uri} changed since this run was launched: expected generation {drop.generation}, {drop.checksum}, "
            f"found {current.generation}, {actual}"
        )
        raise DropChanged(msg)
    say(f"generation {drop.generation} was replaced by {current.generation} with the same bytes, which is read")
    return int(current.generation)


class _Content(io.RawIOBase):
    """The object's bytes; an object that goes away meanwhile has changed."""

    def __init__(self, content: BinaryIO, drop: Drop) -> None:
        super().__init__()
        self._content, self._drop = content, drop

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "Buffer") -> int:
        view = memoryview(buffer)
        try:
            data = self._content.read(len(view))
        except (NotFound, PreconditionFailed) as exc:
            msg = f"{self._drop.uri} was replaced or removed while it was read"
            raise DropChanged(msg) from exc
        view[: len(data)] = data
        return len(data)


def upload_google_object(path: Path, uri: str, checksum: str) -> None:
    """Write `gs://bucket/object` as one object, unless it holds these very bytes already.

    Args:
        path: What to write.
        uri: Where.
        checksum: Of the file, `crc32c:…`.

    Raises:
        FileExistsError: Somebody else wrote there between our look and the upload.
    """
    with closing(Client(project=None)) as client:
        bucket, _, name = uri.removeprefix("gs://").partition("/")
        found = client.bucket(bucket).get_blob(name)
        if found is not None and _content(found) == checksum:
            say(f"{uri} holds these bytes already")
            return
        generation = int(found.generation) if found is not None else 0
        _upload(client.bucket(bucket).blob(name), path, checksum, replaces=generation)


def _upload(blob: Blob, path: Path, checksum: str, *, replaces: int) -> None:
    """Write the object if the generation that it is to replace is still the current one; 0 when there is none."""
    try:
        blob.upload_from_filename(str(path), if_generation_match=replaces, checksum="crc32c")
    except PreconditionFailed as exc:
        found = blob.bucket.get_blob(blob.name)  # perhaps an upload of ours whose answer was lost
        if found is None or _content(found) != checksum:
            msg = f"gs://{blob.bucket.name}/{blob.name} was written by somebody else meanwhile; nothing of it was changed"
            raise FileExistsError(msg) from exc


def _content(blob: Blob) -> str:
    return f"crc32c:{blob.crc32c}:{blob.size}"
