import base64
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import uuid4

import google_crc32c
import pytest
from google.cloud import storage

from trainer_daemon.adapters.gcs import StorageBucket, open_client
from trainer_daemon.errors import ConfigError, PermanentError, TemporaryError
from trainer_daemon.policy.objects import place_of
from trainer_daemon.ports import Bucket, Found, Ignored, Listed

TEMPLATE = "churn_data_{period}.csv"
NAME = "in/churn_data_2025_03.csv"


@pytest.fixture
def remote(storage_client: storage.Client) -> storage.Bucket:
    """A bucket of the test's own."""
    return storage_client.create_bucket(f"drops-{uuid4().hex}")


@pytest.fixture
def bucket(remote: storage.Bucket, storage_client: storage.Client) -> StorageBucket:
    """The adapter, for the drops under `in/`."""
    return StorageBucket(place_of(f"gs://{remote.name}/in", TEMPLATE), storage_client)


def upload(remote: storage.Bucket, name: str, content: bytes = b"a\n1\n") -> int:
    """Put an object; returns its generation."""
    blob = remote.blob(name)
    blob.upload_from_string(content)
    return int(blob.generation)


def listed(bucket: Bucket, on_record: Mapping[str, str] | None = None) -> list[Listed]:
    """Every page's entries."""
    return [item for page in bucket.list_drops(lambda _: on_record or {}) for item in page]


def found(bucket: Bucket) -> Found:
    """The one drop there is."""
    (item,) = listed(bucket)
    assert isinstance(item, Found)
    return item


def test_drop_is_found_with_its_generation_and_content(remote: storage.Bucket, bucket: StorageBucket) -> None:
    """Identity, order and time are the service's own."""
    generation = upload(remote, NAME, b"a,b\n1,2\n")
    item = found(bucket)
    crc32c = base64.b64encode(google_crc32c.value(b"a,b\n1,2\n").to_bytes(4, "big")).decode()
    assert item.drop.ref == f"gs://{remote.name}/{NAME}#{generation}"
    assert item.drop.checksum == f"crc32c:{crc32c}:8"
    assert (item.drop.period, item.drop.size_bytes) == ("2025-03", 8)
    assert (item.order, item.signature) == (generation, str(generation))
    assert item.modified_at == remote.get_blob(NAME).time_created


def test_only_drops_directly_under_the_prefix_are_listed(remote: storage.Bucket, bucket: StorageBucket) -> None:
    """Folders below it, other names and other prefixes are nobody's business; an impossible month is mentioned."""
    for name in (NAME, "in/notes.txt", "in/churn_data_2025_03/churn_data_2025_04.csv", "churn_data_2025_05.csv", "in2/" + NAME):
        upload(remote, name)
    upload(remote, "in/churn_data_2025_13.csv")
    drop, ignored = listed(bucket)
    assert isinstance(drop, Found)
    assert ignored == Ignored(name="churn_data_2025_13.csv", reason="the name has no possible month: months are 01 to 12")


def test_names_of_any_kind_are_listed(remote: storage.Bucket, storage_client: storage.Client) -> None:
    """What would have to be quoted elsewhere survives."""
    generation = upload(remote, "größe #1?/100% 年 2025_03.csv")
    place = place_of(f"gs://{remote.name}/größe #1?", "100% 年 {period}.csv")
    assert (
        found(StorageBucket(place, storage_client)).drop.ref == f"gs://{remote.name}/größe #1?/100% 年 2025_03.csv#{generation}"
    )


def test_listing_compares_page_by_page(remote: storage.Bucket, storage_client: storage.Client) -> None:
    """What is on record is asked for once per page, and left out."""
    names = [f"churn_data_2025_{month:02}.csv" for month in range(1, 8)]
    generations = {f"gs://{remote.name}/{name}": str(upload(remote, name)) for name in names}
    asked: list[Sequence[str]] = []

    def known(uris: Sequence[str]) -> Mapping[str, str]:
        asked.append(uris)
        return {uri: generations[uri] for uri in uris if not uri.endswith("_05.csv")}

    bucket = StorageBucket(place_of(f"gs://{remote.name}", TEMPLATE), storage_client, page=3)
    pages = [[item.drop.period for item in page if isinstance(item, Found)] for page in bucket.list_drops(known)]
    assert pages == [[], ["2025-05"], []]
    assert [len(uris) for uris in asked] == [3, 3, 1]


def test_overwritten_object_is_a_newer_version(remote: storage.Bucket, bucket: StorageBucket) -> None:
    """Equal bytes have the same checksum, others another one; both have a later order."""
    upload(remote, NAME)
    first = found(bucket)
    upload(remote, NAME)
    same = found(bucket)
    upload(remote, NAME, b"a\n2\n")
    other = found(bucket)
    assert first.drop.checksum == same.drop.checksum != other.drop.checksum
    orders = [item.order for item in (first, same, other)]
    assert orders == sorted(set(orders), key=lambda order: order or 0)
    assert listed(bucket, {other.drop.uri: first.signature}) == [other]
    assert listed(bucket, {other.drop.uri: other.signature}) == []


def test_missing_bucket_is_told_with_the_command_that_makes_it(storage_client: storage.Client) -> None:
    """At start it is a matter of configuration, later a refusal."""
    bucket = StorageBucket(place_of("gs://nowhere/in", TEMPLATE), storage_client)
    with pytest.raises(ConfigError) as caught:
        bucket.check()
    command = "gcloud storage buckets create gs://nowhere --location=LOCATION"
    assert str(caught.value) == f'bucket is "gs://nowhere/in", but there is none; create it: {command}'
    with pytest.raises(PermanentError, match="cannot list the drops in gs://nowhere/in: "):
        listed(bucket)


def test_bucket_that_can_be_listed_passes_the_check(bucket: StorageBucket) -> None:
    """Also when it is empty."""
    bucket.check()


@contextmanager
def service_that_answers(status: int) -> Iterator[str]:
    """A storage service that has only one answer; yields its URL."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"error": {"message": "as the test wants it"}}'
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], StorageBucket]]:
    """The adapter for a service at some URL."""
    clients: list[storage.Client] = []

    def make(url: str) -> StorageBucket:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        clients.append(open_client())
        return StorageBucket(place_of("gs://drops", TEMPLATE), clients[-1], retry_s=0.1)

    yield make
    for client in clients:
        with closing(client):
            pass


def test_forbidden_bucket_is_told_with_the_command_that_allows_it(at: Callable[[str], StorageBucket]) -> None:
    """With the one role that suffices; later it is a refusal."""
    with service_that_answers(403) as url:
        with pytest.raises(ConfigError) as caught:
            at(url).check()
        with pytest.raises(PermanentError, match=r"cannot list the drops in gs://drops: .*as the test wants it"):
            listed(at(url))
    assert "it may not be read; allow it: gcloud storage buckets add-iam-policy-binding gs://drops --member=" in str(caught.value)
    assert str(caught.value).endswith("--role=roles/storage.objectViewer")


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_service_in_trouble_is_temporary(at: Callable[[str], StorageBucket], status: int) -> None:
    """Overloaded or broken, it is asked again later."""
    with service_that_answers(status) as url:
        for call in (at(url).check, lambda: listed(at(url))):
            with pytest.raises(TemporaryError, match="cannot list the drops in gs://drops: "):
                call()


def test_service_that_is_not_there_is_temporary(at: Callable[[str], StorageBucket]) -> None:
    """Neither start nor listing fails for good because of it."""
    with service_that_answers(200) as url:
        pass
    for call in (at(url).check, lambda: listed(at(url))):
        with pytest.raises(TemporaryError, match="cannot list the drops in gs://drops: "):
            call()


def test_missing_credentials_are_told_with_the_command_that_makes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an emulator, only application default credentials will do."""
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
    monkeypatch.setenv("CLOUDSDK_CONFIG", "/nonexistent")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    with pytest.raises(ConfigError, match="gcloud auth application-default login"):
        open_client()


def _conforms(bucket: StorageBucket) -> Bucket:
    """The type checker's proof that the adapter plays the role."""
    return bucket
