"""Buckets and notifications wired together: an upload by the real client causes the real notification."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from google.cloud import storage

from tests.emulators.gcs import GcsServer
from tests.emulators.pubsub.rates import Rates
from tests.emulators.pubsub_server import PubSubServer

TOPIC = "projects/demo/topics/gcs-events"
SUBSCRIPTION = "projects/demo/subscriptions/trainer"
BUCKET = "churn-drops"


class GoogleCloud:
    """One bucket, its topic, one subscription to it.

    Args:
        folder: Where everything is kept.
        rates: What goes wrong with notifications on purpose.
    """

    topic = TOPIC
    subscription = SUBSCRIPTION
    bucket = BUCKET

    def __init__(self, folder: Path, rates: Rates | None = None) -> None:
        self.pubsub = PubSubServer(folder, rates)
        self.gcs = GcsServer(folder, pubsub=self.pubsub, topic=TOPIC)
        self._storage: storage.Client | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What points the real clients here."""
        return self.pubsub.environment | self.gcs.environment

    def start(self) -> None:
        """Start both servers; creates topic, subscription and bucket. The clients must be pointed here."""
        from google.cloud import pubsub_v1

        self.pubsub.start()
        publisher = pubsub_v1.PublisherClient()
        publisher.create_topic(name=TOPIC)
        publisher.transport.close()
        self.subscribe()
        self.gcs.start()
        self._storage = storage.Client()
        self._storage.create_bucket(BUCKET)

    def subscribe(self) -> None:
        """Create the subscription."""
        from google.cloud import pubsub_v1

        with pubsub_v1.SubscriberClient() as subscriber:
            subscriber.create_subscription(name=SUBSCRIPTION, topic=TOPIC)

    def unsubscribe(self) -> None:
        """Delete the subscription, and what waits on it."""
        from google.cloud import pubsub_v1

        with pubsub_v1.SubscriberClient() as subscriber:
            subscriber.delete_subscription(subscription=SUBSCRIPTION)

    def stop(self) -> None:
        """End both servers."""
        if self._storage is not None:
            self._storage.close()
        self.gcs.stop()
        self.pubsub.stop()

    def upload(self, name: str, data: str | bytes) -> int:
        """Upload an object; returns its generation."""
        assert self._storage is not None, "it was not started"
        blob = self._storage.bucket(BUCKET).blob(name)
        blob.upload_from_string(data)
        generation: int = blob.generation
        return generation

    def publish(self, messages: Sequence[tuple[Mapping[str, str], bytes]]) -> None:
        """Publish notifications, attributes and body, that the bucket did not send."""
        from google.cloud import pubsub_v1

        publisher = pubsub_v1.PublisherClient()
        for sent in [publisher.publish(TOPIC, data, **attributes) for attributes, data in messages]:
            sent.result(timeout=240)
        publisher.stop()
        publisher.transport.close()

    def retain_acked(self) -> None:
        """Have the subscription keep what is acknowledged from now on; see `PubSubServer.acked`."""
        from google.cloud import pubsub_v1

        change = {"subscription": {"name": SUBSCRIPTION, "retain_acked_messages": True}}
        with pubsub_v1.SubscriberClient() as subscriber:
            subscriber.update_subscription(request={**change, "update_mask": {"paths": ["retain_acked_messages"]}})

    def counts(self) -> dict[str, int]:
        """What happened on the subscription."""
        return self.pubsub.counts(SUBSCRIPTION)
