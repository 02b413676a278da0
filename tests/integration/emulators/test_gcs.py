import base64
import hashlib
import time
import uuid
from datetime import UTC, datetime

import google_crc32c
import pytest
from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud.storage import Bucket, Client

DATA = b"customer,Churn\n1,Yes\n"


@pytest.fixture
def bucket(storage_client: Client) -> Bucket:
    """A bucket of its own."""
    return storage_client.create_bucket(f"bucket-{uuid.uuid4().hex}")


def crc32c(data: bytes) -> str:
    """As Google Cloud Storage writes it: base64 of the four bytes, the highest first."""
    return base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()


def upload(bucket: Bucket, name: str, data: bytes = DATA, **conditions: int) -> int:
    """Upload an object; returns its generation."""
    blob = bucket.blob(name)
    blob.upload_from_string(data, retry=None, **conditions)
    generation: int = blob.generation
    return generation


def test_object_carries_its_checksums(bucket: Bucket) -> None:
    """Of the bytes that were uploaded; times and size too."""
    upload(bucket, "a.csv")
    blob = bucket.get_blob("a.csv")
    assert blob.crc32c == crc32c(DATA)
    assert blob.md5_hash == base64.b64encode(hashlib.md5(DATA, usedforsecurity=False).digest()).decode()
    assert blob.size == len(DATA)
    assert abs((datetime.now(UTC) - blob.updated).total_seconds()) < 60


def test_generation_is_microseconds_and_grows(bucket: Bucket) -> None:
    """With every upload under a name, also when the object was deleted between."""
    first = upload(bucket, "a.csv")
    second = upload(bucket, "a.csv")
    bucket.delete_blob("a.csv")
    third = upload(bucket, "a.csv")
    assert first < second < third
    assert abs(first / 1e6 - time.time()) < 60


def test_create_is_refused_when_the_object_exists(bucket: Bucket) -> None:
    """Generation 0 means: only if there is none."""
    upload(bucket, "a.csv", if_generation_match=0)
    with pytest.raises(PreconditionFailed):
        upload(bucket, "a.csv", b"other", if_generation_match=0)
    assert bucket.blob("a.csv").download_as_bytes() == DATA


def test_overwritten_generation_is_gone(bucket: Bucket) -> None:
    """A reader that pinned a generation gets an error, never other bytes; a bucket without versioning keeps the newest only."""
    pinned = upload(bucket, "a.csv")
    newest = upload(bucket, "a.csv", b"other")
    with pytest.raises(NotFound):
        bucket.blob("a.csv", generation=pinned).download_as_bytes(retry=None)
    assert bucket.blob("a.csv", generation=newest).download_as_bytes() == b"other"


def test_listing_is_read_page_by_page(storage_client: Client, bucket: Bucket) -> None:
    """In the order of names, with the fields that were asked for, going on from a saved token."""
    names = [f"many/{number:03d}.csv" for number in range(25)]
    for name in names:
        upload(bucket, name)
    fields = "items(name,generation,crc32c,md5Hash,size,updated),nextPageToken"
    listing = storage_client.list_blobs(bucket, prefix="many/", page_size=10, fields=fields)
    pages = [[(blob.name, blob.generation is None, blob.crc32c is None) for blob in page] for page in listing.pages]
    assert pages == [[(name, False, False) for name in names[at : at + 10]] for at in (0, 10, 20)]

    listing = storage_client.list_blobs(bucket, prefix="many/", page_size=10)
    next(listing.pages)
    rest = storage_client.list_blobs(bucket, prefix="many/", page_token=listing.next_page_token)
    assert [blob.name for blob in rest] == names[10:]


def test_listing_has_what_is_under_the_prefix_only(storage_client: Client, bucket: Bucket) -> None:
    """And with a delimiter nothing below it."""
    for name in ("in/a.csv", "in/old/b.csv", "inbox/c.csv", "d.csv"):
        upload(bucket, name)
    assert [blob.name for blob in storage_client.list_blobs(bucket, prefix="in/")] == ["in/a.csv", "in/old/b.csv"]
    assert [blob.name for blob in storage_client.list_blobs(bucket, prefix="in/", delimiter="/")] == ["in/a.csv"]


@pytest.mark.parametrize("name", ["dir/é ü 日本.csv", "p%20q?x=1&y#z.csv", "a+b=c.csv"])
def test_any_name_survives(storage_client: Client, bucket: Bucket, name: str) -> None:
    """Upload, look, list, download."""
    upload(bucket, name)
    assert bucket.get_blob(name).name == name
    assert [blob.name for blob in storage_client.list_blobs(bucket)] == [name]
    assert bucket.blob(name).download_as_bytes() == DATA


def test_composite_object_has_the_checksum_of_the_whole(bucket: Bucket) -> None:
    """What identifies it is its crc32c."""
    upload(bucket, "a", b"AA")
    upload(bucket, "b", b"BB")
    bucket.blob("ab").compose([bucket.blob("a"), bucket.blob("b")])
    assert bucket.get_blob("ab").crc32c == crc32c(b"AABB")


def test_missing_bucket_and_missing_object_are_told_apart(storage_client: Client, bucket: Bucket) -> None:
    """An object may be missing, a bucket may not."""
    assert bucket.get_blob("missing") is None
    with pytest.raises(NotFound):
        list(storage_client.list_blobs("missing-bucket", retry=None))
