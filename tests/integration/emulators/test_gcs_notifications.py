import json
from collections.abc import Iterator
from contextlib import closing

import pytest
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.cloud.storage import Bucket, Client
from google.pubsub_v1.types import PubsubMessage

from tests.acceptance.harness import wait_until
from tests.emulators.cloud import GoogleCloud
from tests.emulators.fixtures import MakeGoogleCloud
from tests.integration.emulators.lines import Line

NAME, DATA = "churn_data_2025_03.csv", b"customer,Churn\n1,Yes\n"


@pytest.fixture
def line(google_cloud: GoogleCloud) -> Iterator[Line]:
    """The subscription to the bucket's notifications."""
    publisher = PublisherClient()
    with SubscriberClient() as subscriber:
        names = {"topic": google_cloud.topic, "subscription": google_cloud.subscription}
        yield Line(publisher=publisher, subscriber=subscriber, server=google_cloud.pubsub, **names)
    publisher.transport.close()


@pytest.fixture
def bucket(google_cloud: GoogleCloud) -> Iterator[Bucket]:
    """The bucket."""
    with closing(Client()) as client:
        yield client.bucket(google_cloud.bucket)


def take(line: Line, number: int = 1) -> list[PubsubMessage]:
    """Receive and acknowledge; sorted, because notifications have no order."""
    received = line.pull(number)
    line.ack(received)
    return sorted((each.message for each in received), key=_place)


def _place(message: PubsubMessage) -> tuple[str, str]:
    return message.attributes["objectGeneration"], message.attributes["eventType"]


def test_upload_causes_a_notification(google_cloud: GoogleCloud, line: Line) -> None:
    """Attributes name the object and its generation, the payload describes it."""
    generation = google_cloud.upload(NAME, DATA)
    message = take(line)[0]
    attributes = dict(message.attributes)
    assert attributes.pop("eventTime")
    assert attributes == {
        "eventType": "OBJECT_FINALIZE",
        "bucketId": google_cloud.bucket,
        "objectId": NAME,
        "objectGeneration": str(generation),
        "payloadFormat": "JSON_API_V1",
    }
    described = json.loads(message.data)
    assert (described["kind"], described["name"], described["generation"]) == ("storage#object", NAME, str(generation))
    assert {"crc32c", "md5Hash", "size", "updated", "bucket"} <= set(described)


def test_overwriting_names_the_other_generation(google_cloud: GoogleCloud, line: Line) -> None:
    """The old one is deleted, the new one is finalized."""
    first = google_cloud.upload(NAME, DATA)
    take(line)
    second = google_cloud.upload(NAME, b"other")
    deleted, finalized = take(line, 2)
    assert (deleted.attributes["eventType"], deleted.attributes["overwrittenByGeneration"]) == ("OBJECT_DELETE", str(second))
    assert (finalized.attributes["eventType"], finalized.attributes["overwroteGeneration"]) == ("OBJECT_FINALIZE", str(first))


def test_deletion_and_new_metadata_are_told_apart_from_uploads(google_cloud: GoogleCloud, line: Line, bucket: Bucket) -> None:
    """Neither is an upload."""
    google_cloud.upload(NAME, DATA)
    take(line)
    blob = bucket.get_blob(NAME)
    blob.metadata = {"a": "b"}
    blob.patch()
    assert take(line)[0].attributes["eventType"] == "OBJECT_METADATA_UPDATE"
    bucket.delete_blob(NAME)
    assert take(line)[0].attributes["eventType"] == "OBJECT_DELETE"


def test_killed_bucket_service_keeps_its_files_and_notifies_again(google_cloud: GoogleCloud, line: Line, bucket: Bucket) -> None:
    """The same bytes, generation and checksum at the same address."""
    google_cloud.upload(NAME, DATA)
    take(line)
    before = bucket.get_blob(NAME)
    google_cloud.gcs.kill()
    google_cloud.gcs.start()
    after = bucket.get_blob(NAME)
    assert (after.generation, after.crc32c, after.md5_hash) == (before.generation, before.crc32c, before.md5_hash)
    assert after.download_as_bytes() == DATA
    google_cloud.upload("churn_data_2025_04.csv", DATA)
    assert take(line)[0].attributes["objectId"] == "churn_data_2025_04.csv"


def test_notification_waits_while_the_notification_service_is_down(google_cloud: GoogleCloud, line: Line) -> None:
    """Uploads succeed meanwhile."""
    google_cloud.pubsub.kill()
    google_cloud.upload(NAME, DATA)
    google_cloud.pubsub.start()
    assert take(line)[0].attributes["objectId"] == NAME


def test_dropped_notification_leaves_the_object(make_google_cloud: MakeGoogleCloud) -> None:
    """What only a listing can find."""
    cloud = make_google_cloud(drop=1.0)
    cloud.upload(NAME, DATA)
    wait_until(lambda: cloud.counts()["dropped"] == 1, "the notification is dropped")
    assert cloud.counts()["backlog"] == 0
    with closing(Client()) as client:
        assert [blob.name for blob in client.list_blobs(cloud.bucket)] == [NAME]
