"""The protobuf messages of the API, without the wrapper classes: these are on the path of every message."""

from google.protobuf.empty_pb2 import Empty
from google.pubsub_v1 import types

Topic = types.Topic.pb()
ListTopicsResponse = types.ListTopicsResponse.pb()
ListTopicSubscriptionsResponse = types.ListTopicSubscriptionsResponse.pb()
PublishResponse = types.PublishResponse.pb()
PubsubMessage = types.PubsubMessage.pb()
Subscription = types.Subscription.pb()
ListSubscriptionsResponse = types.ListSubscriptionsResponse.pb()
PullResponse = types.PullResponse.pb()
ReceivedMessage = types.ReceivedMessage.pb()
StreamingPullResponse = types.StreamingPullResponse.pb()
SeekResponse = types.SeekResponse.pb()
Snapshot = types.Snapshot.pb()

__all__ = [
    "Empty",
    "ListSubscriptionsResponse",
    "ListTopicSubscriptionsResponse",
    "ListTopicsResponse",
    "PublishResponse",
    "PubsubMessage",
    "PullResponse",
    "ReceivedMessage",
    "SeekResponse",
    "Snapshot",
    "StreamingPullResponse",
    "Subscription",
    "Topic",
]
