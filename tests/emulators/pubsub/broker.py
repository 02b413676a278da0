"""Topics, their subscriptions and snapshots, and the way of a message from one to the other."""

import time
from collections.abc import Callable, Iterable, Mapping

from google.protobuf.message import Message

from tests.emulators.pubsub import wire
from tests.emulators.pubsub.collection import Collection
from tests.emulators.pubsub.entries import Entries, Entry, microseconds
from tests.emulators.pubsub.faults import Faults
from tests.emulators.pubsub.names import project_of, short
from tests.emulators.pubsub.refusal import not_found
from tests.emulators.pubsub.settings import complete
from tests.emulators.pubsub.store import Store
from tests.emulators.pubsub.subscription import Room, Subscription, Surroundings

_DELETED_TOPIC = "_deleted-topic_"
_DEAD_LETTER = "CloudPubSubDeadLetterSource"


class Broker:
    """The service's state.

    Args:
        store: Where it is kept.
        faults: What goes wrong on purpose.
        clock: Seconds since 1970; leases outlive a restart, so it is the wall clock.
    """

    def __init__(self, store: Store, faults: Faults, clock: Callable[[], float] = time.time) -> None:
        self.store = store
        self.faults = faults
        self.now = clock
        self.topics = Collection(store, "topics", wire.Topic)
        self.snapshots = Collection(store, "snapshots", wire.Snapshot)
        self.subscriptions = Collection(store, "subscriptions", wire.Subscription)
        self._last_number = 0
        self._running = {config.name: self._start(config) for config in self.subscriptions}

    @property
    def running(self) -> Mapping[str, Subscription]:
        """Every subscription by name."""
        return self._running

    def subscription(self, name: str) -> Subscription:
        """A subscription.

        Raises:
            RefusedError: There is none with this name.
        """
        if name not in self._running:
            raise not_found(name)
        return self._running[name]

    def subscribe(self, config: Message) -> Message:
        """Create a subscription; it receives what is published from now on."""
        self.subscriptions.check_new(config.name)
        self.topics.get(config.topic)
        self.subscriptions.save(complete(config))
        self._running[config.name] = self._start(config)
        return config

    def configure(self, config: Message) -> Message:
        """Change a subscription."""
        self.subscriptions.save(complete(config))
        self._running[config.name].configure(config)
        return config

    def unsubscribe(self, name: str) -> None:
        """Delete a subscription and its backlog."""
        subscription = self.subscription(name)
        self.subscriptions.delete(name)
        subscription.entries.remove_all()
        del self._running[name]
        subscription.wake()

    def delete_topic(self, name: str) -> None:
        """Delete a topic; its subscriptions keep their backlog."""
        self.topics.delete(name)
        for subscription in self._subscriptions_of(name):
            subscription.config.topic = _DELETED_TOPIC
            self.subscriptions.save(subscription.config)

    def publish(self, topic: str, message: Message) -> str:
        """Give a message to every subscription of a topic; returns its identifier."""
        now = self.now()
        message_id = self.next_number()
        message.message_id = str(message_id)
        message.publish_time.FromNanoseconds(int(now * 1e9))
        for subscription in self._subscriptions_of(topic):
            subscription.offer(message_id, message, now)
            subscription.wake()
        return str(message_id)

    def deliver(self, subscription: Subscription, room: Room, *, seconds: float, stream: int = 0) -> list[Message]:
        """Lease what fits, unless calls are refused or nothing is delivered on purpose.

        Raises:
            RefusedError: Calls are refused, or the subscription was deleted.
        """
        now = self.now()
        self.faults.check("Subscriber", now)
        if self._running.get(subscription.config.name) is not subscription:
            raise not_found(subscription.config.name)
        if self.faults.is_silent(now):
            return []
        with self.store.transaction():
            return subscription.take(room, now, seconds=seconds, stream=stream)

    def wake(self) -> None:
        """Let everybody who waits look again."""
        for subscription in self._running.values():
            subscription.wake()

    def next_number(self) -> int:
        """A number never given before: microseconds, so that a time can be sought and a restart goes on above the old ones."""
        self._last_number = max(self._last_number + 1, microseconds(self.now()))
        return self._last_number

    def _start(self, config: Message) -> Subscription:
        around = Surroundings(numbers=self.next_number, forward=self._forward, retains=self._has_snapshot)
        entries = Entries(self.store.database, config.name)
        return Subscription(config, entries=entries, faults=self.faults, surroundings=around)

    def _subscriptions_of(self, topic: str) -> Iterable[Subscription]:
        return [each for each in self._running.values() if each.config.topic == topic]

    def _has_snapshot(self, topic: str) -> bool:
        return any(snapshot.topic == topic for snapshot in self.snapshots)

    def _forward(self, config: Message, entry: Entry) -> bool:
        """Publish a dead letter: a new message with its own identifier and where it comes from in its attributes."""
        topic = config.dead_letter_policy.dead_letter_topic
        if self.topics.find(topic) is None:
            return False
        message = wire.PubsubMessage.FromString(entry.message)
        message.attributes[f"{_DEAD_LETTER}DeliveryCount"] = str(entry.attempts)
        message.attributes[f"{_DEAD_LETTER}Subscription"] = short(config.name)
        message.attributes[f"{_DEAD_LETTER}SubscriptionProject"] = project_of(config.name)
        message.attributes[f"{_DEAD_LETTER}TopicPublishTime"] = message.publish_time.ToJsonString()
        self.publish(topic, message)
        return True
