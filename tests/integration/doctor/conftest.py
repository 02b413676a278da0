"""A bucket, its notification configurations, a topic and subscriptions of a test's own, and the command line."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.emulators.notification_configs import NotificationConfigs
from tests.integration.cli.conftest import call

if TYPE_CHECKING:
    from tests.emulators.gcs import GcsServer
    from tests.emulators.pubsub_server import PubSubServer

__all__ = ["call"]

PROJECT = "projects/demo-project"
"""The client library takes names of less than six letters for no projects."""
Subscribe = Callable[..., str]


@pytest.fixture
def configs(gcs: "GcsServer", monkeypatch: pytest.MonkeyPatch) -> Iterator[NotificationConfigs]:
    """The bucket service, with notification configurations; the real client is pointed there."""
    service = NotificationConfigs(upstream=gcs.url)
    with service.serving():
        for name, value in service.environment.items():
            monkeypatch.setenv(name, value)
        yield service


@pytest.fixture
def bucket(configs: NotificationConfigs) -> str:  # noqa: ARG001 - it points the client
    """A bucket of the test's own, with one drop in it."""
    from google.cloud import storage

    with closing(storage.Client()) as client:
        made = client.create_bucket(f"drops-{uuid4().hex}")
        made.blob("in/churn_data_2025_03.csv").upload_from_string("a\n1\n")
    name: str = made.name
    return name


@pytest.fixture
def topic(pubsub: "PubSubServer") -> str:  # noqa: ARG001 - it points the client
    """A topic of the test's own."""
    from google.cloud import pubsub_v1

    publisher = pubsub_v1.PublisherClient()
    name = f"{PROJECT}/topics/t-{uuid4().hex}"
    publisher.create_topic(name=name)
    publisher.transport.close()
    return name


@pytest.fixture
def subscribe(topic: str) -> Subscribe:
    """Make a subscription as `setup-gcp` does, with changes."""
    from google.cloud import pubsub_v1
    from google.protobuf.duration_pb2 import Duration

    def make(**changes: object) -> str:
        name = f"{PROJECT}/subscriptions/s-{uuid4().hex}"
        request = {
            "name": name,
            "topic": topic,
            "ack_deadline_seconds": 60,
            "message_retention_duration": Duration(seconds=7 * 24 * 3600),
            "expiration_policy": pubsub_v1.types.ExpirationPolicy(),
            "dead_letter_policy": {"dead_letter_topic": topic, "max_delivery_attempts": 20},
        }
        with pubsub_v1.SubscriberClient() as client:
            client.create_subscription(request={**request, **changes})
        return name

    return make
