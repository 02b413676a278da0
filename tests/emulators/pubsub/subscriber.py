"""The service `google.pubsub.v1.Subscriber`: subscriptions, pulling from them, seeking in them."""

from typing import Any

from google.protobuf.message import Message
from google.pubsub_v1 import types

from tests.emulators.pubsub import wire
from tests.emulators.pubsub.broker import Broker
from tests.emulators.pubsub.collection import page
from tests.emulators.pubsub.method import Service, Streaming, Unary, Waiting
from tests.emulators.pubsub.settings import check_ack_deadline
from tests.emulators.pubsub.streaming import Streams
from tests.emulators.pubsub.subscription import Room

_PULL_S, _PULL_BYTES = 60.0, 10 << 20
_MARGIN_S = 0.2  # an empty answer shall arrive before the caller gives up
_SNAPSHOT_S = 7 * 24 * 3600


class Subscriber:
    """Answers the service's calls.

    Args:
        broker: The service's state.
        streams: Serves streaming pulls.
    """

    def __init__(self, broker: Broker, streams: Streams) -> None:
        self._broker = broker
        self._streams = streams

    def create_subscription(self, request: Message) -> Message:
        """Create a subscription."""
        return self._broker.subscribe(request)

    def get_subscription(self, request: Message) -> Message:
        """Look at a subscription."""
        return self._broker.subscriptions.get(request.subscription)

    def update_subscription(self, request: Message) -> Message:
        """Change what the mask names."""
        config = self._broker.subscriptions.get(request.subscription.name)
        request.update_mask.MergeMessage(request.subscription, config, True, True)  # noqa: FBT003 - the library takes no names
        return self._broker.configure(config)

    def list_subscriptions(self, request: Message) -> Message:
        """List a project's subscriptions."""
        mine = [each for each in self._broker.subscriptions if each.name.startswith(f"{request.project}/")]
        subscriptions, token = page(mine, request)
        return wire.ListSubscriptionsResponse(subscriptions=subscriptions, next_page_token=token)

    def delete_subscription(self, request: Message) -> Message:
        """Delete a subscription."""
        self._broker.unsubscribe(request.subscription)
        return wire.Empty()

    def acknowledge(self, request: Message) -> Message:
        """Settle messages for good."""
        self._broker.subscription(request.subscription).acknowledge(request.ack_ids, self._broker.now())
        return wire.Empty()

    def modify_ack_deadline(self, request: Message) -> Message:
        """Extend leases, or give messages back."""
        check_ack_deadline(request.ack_deadline_seconds)
        seconds = [request.ack_deadline_seconds] * len(request.ack_ids)
        self._broker.subscription(request.subscription).modify(request.ack_ids, seconds, self._broker.now())
        return wire.Empty()

    async def pull(self, request: Message, context: Any) -> Message:  # noqa: ANN401 - grpc has no types
        """Wait for messages, unless the caller does not want to wait."""
        subscription = self._broker.subscription(request.subscription)
        room = Room(messages=max(1, request.max_messages), size=_PULL_BYTES)
        wait_s = 0.0 if request.return_immediately else min(_PULL_S, (context.time_remaining() or _PULL_S) - _MARGIN_S)
        end = self._broker.now() + wait_s
        while True:
            received = self._broker.deliver(subscription, room, seconds=subscription.config.ack_deadline_seconds)
            now = self._broker.now()
            if received or now >= end:
                return wire.PullResponse(received_messages=received)
            await subscription.changed(now, end - now)

    def seek(self, request: Message) -> Message:
        """Change what is acked, to a time or a snapshot."""
        subscription, now = self._broker.subscription(request.subscription), self._broker.now()
        if request.snapshot:
            self._broker.snapshots.get(request.snapshot)
            subscription.entries.seek_to_snapshot(request.snapshot, now)
        else:
            subscription.entries.seek_to_time(request.time.ToNanoseconds() / 1e9, now)
        subscription.wake()
        return wire.SeekResponse()

    def create_snapshot(self, request: Message) -> Message:
        """Remember what is acked."""
        self._broker.snapshots.check_new(request.name)
        subscription = self._broker.subscription(request.subscription)
        snapshot = wire.Snapshot(name=request.name, topic=subscription.config.topic, labels=request.labels)
        snapshot.expire_time.FromSeconds(int(self._broker.now()) + _SNAPSHOT_S)
        subscription.entries.snapshot(request.name)
        self._broker.snapshots.save(snapshot)
        return snapshot

    def get_snapshot(self, request: Message) -> Message:
        """Look at a snapshot."""
        return self._broker.snapshots.get(request.snapshot)

    def delete_snapshot(self, request: Message) -> Message:
        """Forget a snapshot."""
        self._broker.snapshots.delete(request.snapshot)
        self._broker.store.forget_snapshot(request.snapshot)
        return wire.Empty()

    def methods(self) -> Service:
        """The service's methods."""
        return self._about_subscriptions() | self._about_messages() | self._about_snapshots()

    def _about_subscriptions(self) -> dict[str, Unary | Waiting | Streaming]:
        config = wire.Subscription
        return {
            "CreateSubscription": Unary(request=config, response=config, answer=self.create_subscription),
            "GetSubscription": Unary(request=types.GetSubscriptionRequest.pb(), response=config, answer=self.get_subscription),
            "UpdateSubscription": Unary(
                request=types.UpdateSubscriptionRequest.pb(), response=config, answer=self.update_subscription
            ),
            "ListSubscriptions": Unary(
                request=types.ListSubscriptionsRequest.pb(),
                response=wire.ListSubscriptionsResponse,
                answer=self.list_subscriptions,
            ),
            "DeleteSubscription": Unary(
                request=types.DeleteSubscriptionRequest.pb(), response=wire.Empty, answer=self.delete_subscription
            ),
        }

    def _about_messages(self) -> dict[str, Unary | Waiting | Streaming]:
        return {
            "Acknowledge": Unary(request=types.AcknowledgeRequest.pb(), response=wire.Empty, answer=self.acknowledge),
            "ModifyAckDeadline": Unary(
                request=types.ModifyAckDeadlineRequest.pb(), response=wire.Empty, answer=self.modify_ack_deadline
            ),
            "Pull": Waiting(request=types.PullRequest.pb(), response=wire.PullResponse, answer=self.pull),
            "StreamingPull": Streaming(
                request=types.StreamingPullRequest.pb(), response=wire.StreamingPullResponse, serve=self._streams.serve
            ),
            "Seek": Unary(request=types.SeekRequest.pb(), response=wire.SeekResponse, answer=self.seek),
        }

    def _about_snapshots(self) -> dict[str, Unary | Waiting | Streaming]:
        return {
            "CreateSnapshot": Unary(
                request=types.CreateSnapshotRequest.pb(), response=wire.Snapshot, answer=self.create_snapshot
            ),
            "GetSnapshot": Unary(request=types.GetSnapshotRequest.pb(), response=wire.Snapshot, answer=self.get_snapshot),
            "DeleteSnapshot": Unary(request=types.DeleteSnapshotRequest.pb(), response=wire.Empty, answer=self.delete_snapshot),
        }
