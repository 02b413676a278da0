"""The service `google.pubsub.v1.Publisher`: topics, and publishing to them."""

from google.protobuf.message import Message
from google.pubsub_v1 import types

from tests.emulators.pubsub import wire
from tests.emulators.pubsub.broker import Broker
from tests.emulators.pubsub.collection import page
from tests.emulators.pubsub.method import Service, Unary
from tests.emulators.pubsub.refusal import invalid


class Publisher:
    """Answers the service's calls.

    Args:
        broker: The service's state.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def create_topic(self, request: Message) -> Message:
        """Create a topic."""
        self._broker.topics.check_new(request.name)
        self._broker.topics.save(request)
        return request

    def get_topic(self, request: Message) -> Message:
        """Look at a topic."""
        return self._broker.topics.get(request.topic)

    def update_topic(self, request: Message) -> Message:
        """Change what the mask names."""
        topic = self._broker.topics.get(request.topic.name)
        request.update_mask.MergeMessage(request.topic, topic, True, True)  # noqa: FBT003 - the library takes no names
        self._broker.topics.save(topic)
        return topic

    def list_topics(self, request: Message) -> Message:
        """List a project's topics."""
        mine = [topic for topic in self._broker.topics if topic.name.startswith(f"{request.project}/")]
        topics, token = page(mine, request)
        return wire.ListTopicsResponse(topics=topics, next_page_token=token)

    def list_topic_subscriptions(self, request: Message) -> Message:
        """List the names of a topic's subscriptions."""
        self._broker.topics.get(request.topic)
        attached = [each for each in self._broker.subscriptions if each.topic == request.topic]
        subscriptions, token = page(attached, request)
        names = [subscription.name for subscription in subscriptions]
        return wire.ListTopicSubscriptionsResponse(subscriptions=names, next_page_token=token)

    def delete_topic(self, request: Message) -> Message:
        """Delete a topic."""
        self._broker.delete_topic(request.topic)
        return wire.Empty()

    def publish(self, request: Message) -> Message:
        """Publish messages."""
        self._broker.topics.get(request.topic)
        if not request.messages or any(not (message.data or message.attributes) for message in request.messages):
            text = "The request must have messages, and each message must have data or at least one attribute."
            raise invalid(text)
        ids = [self._broker.publish(request.topic, message) for message in request.messages]
        return wire.PublishResponse(message_ids=ids)

    def methods(self) -> Service:
        """The service's methods."""
        return {
            "CreateTopic": Unary(request=wire.Topic, response=wire.Topic, answer=self.create_topic),
            "GetTopic": Unary(request=types.GetTopicRequest.pb(), response=wire.Topic, answer=self.get_topic),
            "UpdateTopic": Unary(request=types.UpdateTopicRequest.pb(), response=wire.Topic, answer=self.update_topic),
            "ListTopics": Unary(request=types.ListTopicsRequest.pb(), response=wire.ListTopicsResponse, answer=self.list_topics),
            "ListTopicSubscriptions": Unary(
                request=types.ListTopicSubscriptionsRequest.pb(),
                response=wire.ListTopicSubscriptionsResponse,
                answer=self.list_topic_subscriptions,
            ),
            "DeleteTopic": Unary(request=types.DeleteTopicRequest.pb(), response=wire.Empty, answer=self.delete_topic),
            "Publish": Unary(request=types.PublishRequest.pb(), response=wire.PublishResponse, answer=self.publish),
        }
