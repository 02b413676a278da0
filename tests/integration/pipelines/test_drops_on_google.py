"""Drops on Google Cloud Storage: the steps read the generation that the run was launched for."""

import gzip
from collections.abc import Callable
from uuid import uuid4

import pytest
from google.cloud import storage

from pipelines import google_storage
from pipelines.errors import BadDrop, DropChanged
from pipelines.opening import open_drop
from pipelines.parameters import Drop
from pipelines.reading import read_drop
from trainer_daemon.policy.objects import content_of

CONTENT = b"a,b\n1,2\n3,4\n"
NAME = "in/churn data #1 ? 100% \xfc 2025_03.csv"
MIB = 1 << 20


@pytest.fixture
def remote(storage_client: storage.Client) -> storage.Bucket:
    """A bucket of the test's own."""
    return storage_client.create_bucket(f"drops-{uuid4().hex}")


def upload(remote: storage.Bucket, content: bytes = CONTENT, **properties: str) -> Drop:
    """Upload a drop, as the daemon would see it."""
    blob = remote.blob(NAME)
    for name, value in properties.items():
        setattr(blob, name, value)
    blob.upload_from_string(content)
    checksum = content_of(str(blob.crc32c), int(blob.size or 0))
    return Drop(uri=f"gs://{remote.name}/{NAME}", generation=str(blob.generation), checksum=checksum, period="2025-03")


def test_drop_is_read_from_its_generation(remote: storage.Bucket) -> None:
    """Whatever characters its name has; its bytes have the checksum that the service keeps."""
    assert read_drop(upload(remote), max_bytes=MIB).table.num_rows == 2


def test_drop_that_spans_several_requests_is_read_whole(remote: storage.Bucket) -> None:
    """In order, and checked."""
    rows = google_storage.CHUNK_BYTES // 4 * 2
    drop = upload(remote, b"a,b\n" + b"1,2\n" * rows)
    assert read_drop(drop, max_bytes=64 * MIB).table.num_rows == rows


def test_packed_drop_is_read_as_it_was_uploaded(remote: storage.Bucket) -> None:
    """The service would unpack what it knows to be gzip, and then the checksum would not fit."""
    drop = upload(remote, gzip.compress(CONTENT), content_encoding="gzip")
    assert read_drop(drop, max_bytes=MIB).table.num_rows == 2


def test_empty_object_is_a_bad_drop(remote: storage.Bucket) -> None:
    """And no error of the download."""
    with pytest.raises(BadDrop, match=r"the file is empty \(0 bytes\)"):
        read_drop(upload(remote, b""), max_bytes=MIB)


def test_other_bytes_under_the_same_name_are_no_fault_of_the_drop(remote: storage.Bucket) -> None:
    """The newer generation is never read in place of the one that is pinned."""
    first = upload(remote)
    second = upload(remote, b"a,b\n9,9\n")
    with pytest.raises(DropChanged, match=f"expected generation {first.generation}, .*, found {second.generation}, crc32c:"):
        read_drop(first, max_bytes=MIB)


def test_same_bytes_uploaded_again_are_read(remote: storage.Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    """The generation is gone, the content is not."""
    first = upload(remote)
    second = upload(remote)
    assert read_drop(first, max_bytes=MIB).table.num_rows == 2
    said = capsys.readouterr().out
    assert f"generation {first.generation} was replaced by {second.generation} with the same bytes" in said


def test_removed_object_has_changed(remote: storage.Bucket) -> None:
    """Nobody's fault either."""
    drop = upload(remote)
    remote.blob(NAME).delete()
    with pytest.raises(DropChanged, match="is no longer there"):
        read_drop(drop, max_bytes=MIB)


def test_object_that_is_replaced_while_it_is_read_has_changed(remote: storage.Bucket) -> None:
    """No mixture of two versions is trained."""
    drop = upload(remote, b"a,b\n" + b"1,2\n" * (google_storage.CHUNK_BYTES // 2))
    with pytest.raises(DropChanged, match="was replaced or removed while it was read"):
        read_with_interruption(drop, lambda: upload(remote, b"a,b\n" + b"2,2\n" * (google_storage.CHUNK_BYTES // 2)))


def read_with_interruption(drop: Drop, interrupt: Callable[[], object]) -> None:
    """Read a little, let something happen, read the rest."""
    with open_drop(drop, max_bytes=64 * MIB) as parts:
        ((_, stream),) = parts
        stream.read(10)
        interrupt()
        stream.read()


def test_wrong_checksum_is_found(remote: storage.Bucket) -> None:
    """The bytes count, not what the service says of them."""
    drop = upload(remote)
    told = Drop(uri=drop.uri, generation=drop.generation, checksum="crc32c:AAAAAA==:12", period=drop.period)
    with pytest.raises(DropChanged, match="expected crc32c:AAAAAA==:12, found crc32c:"):
        read_drop(told, max_bytes=MIB)
