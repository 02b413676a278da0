"""Lines: a topic with one subscription each."""

from collections.abc import Callable, Iterator

import pytest
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.cloud.pubsub_v1.types import PublisherOptions

from tests.emulators.pubsub_server import PubSubServer
from tests.integration.emulators.lines import Line, open_line

MakeLine = Callable[..., Line]


@pytest.fixture
def make_line(pubsub: PubSubServer, publisher: PublisherClient, subscriber: SubscriberClient) -> MakeLine:
    """Open a line; keyword arguments are fields of its subscription."""
    return lambda **options: open_line(publisher, subscriber, pubsub, **options)


@pytest.fixture
def line(make_line: MakeLine) -> Line:
    """A line with the service's defaults."""
    return make_line()


@pytest.fixture
def ordered_publisher(pubsub: PubSubServer) -> Iterator[PublisherClient]:  # noqa: ARG001 - it points the client
    """The real client, allowed to set ordering keys."""
    client = PublisherClient(publisher_options=PublisherOptions(enable_message_ordering=True))
    yield client
    client.stop()
    client.transport.close()
