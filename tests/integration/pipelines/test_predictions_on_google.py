"""Predictions as objects of Google Cloud Storage: one upload, and nobody else's object is overwritten unseen."""

from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.cloud import storage

from pipelines import google_storage
from pipelines.destination import Destination

TABLE = pa.table({"row": [1, 2], "probability": [0.25, 0.75]})
OTHER = pa.table({"row": [1], "probability": [0.5]})
NAME = "scores/customers #1 \xfc.parquet"


@pytest.fixture
def remote(storage_client: storage.Client) -> storage.Bucket:
    """A bucket of the test's own."""
    return storage_client.create_bucket(f"scores-{uuid4().hex}")


def write(remote: storage.Bucket, *tables: pa.Table) -> Destination:
    """Write tables as one object."""
    destination = Destination(uri=f"gs://{remote.name}/{NAME}")
    with destination.replaced("k" * 64) as append:
        for table in tables:
            append(table)
    return destination


def content(remote: storage.Bucket, folder: Path) -> pa.Table:
    """What is there now."""
    remote.blob(NAME).download_to_filename(str(folder / "read.parquet"))
    return pq.read_table(folder / "read.parquet")


def test_predictions_become_one_object(remote: storage.Bucket, tmp_path: Path) -> None:
    """With the checksum that the service keeps."""
    destination = write(remote, TABLE, TABLE)
    assert content(remote, tmp_path).equals(pa.concat_tables([TABLE, TABLE]).combine_chunks())
    blob = remote.get_blob(NAME)
    assert blob
    assert destination.checksum == f"crc32c:{blob.crc32c}:{blob.size}"


def test_repetition_changes_nothing(remote: storage.Bucket) -> None:
    """The same bytes keep their generation, so that nobody is told of news; other bytes replace them."""
    generations = []
    for table in (TABLE, TABLE, OTHER):
        write(remote, table)
        blob = remote.get_blob(NAME)
        assert blob
        generations.append(blob.generation)
    assert generations[0] == generations[1]
    assert generations[1] != generations[2]


def test_object_of_somebody_else_is_not_overwritten(remote: storage.Bucket, tmp_path: Path) -> None:
    """It came between our look and our upload."""
    remote.blob(NAME).upload_from_string("theirs")
    ours = tmp_path / "ours"
    ours.write_text("ours")
    with pytest.raises(FileExistsError, match="was written by somebody else meanwhile"):
        google_storage._upload(remote.blob(NAME), ours, "crc32c:AAAAAA==:4", replaces=0)
    assert remote.blob(NAME).download_as_bytes() == b"theirs"


def test_upload_whose_answer_was_lost_is_recognised(remote: storage.Bucket, tmp_path: Path) -> None:
    """The service refuses the repetition, but what is there is ours."""
    checksum = write(remote, TABLE).checksum
    ours = tmp_path / "ours"
    ours.write_bytes(remote.blob(NAME).download_as_bytes())
    google_storage._upload(remote.blob(NAME), ours, checksum, replaces=0)


def test_failure_uploads_nothing(remote: storage.Bucket) -> None:
    """What is half done never leaves this machine."""
    destination = Destination(uri=f"gs://{remote.name}/{NAME}")

    def fail_half_way() -> None:
        with destination.replaced("k" * 64) as append:
            append(TABLE)
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - the one above
        fail_half_way()
    assert remote.get_blob(NAME) is None
