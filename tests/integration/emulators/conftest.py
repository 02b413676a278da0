"""Lines: a topic with one subscription each. Labs: a Kubeflow Pipelines server with a client."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.cloud.pubsub_v1.types import PublisherOptions

from tests.emulators.fixtures import MakeKfpServer
from tests.emulators.pubsub_server import PubSubServer
from tests.integration.emulators.kfp_lab import Lab, MakeLab, connect
from tests.integration.emulators.lines import Line, open_line
from tests.integration.orchestrator_contract import Probe

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


@pytest.fixture
def make_lab(make_kfp_server: MakeKfpServer, compiled: Path, tmp_path: Path) -> MakeLab:
    """Start a Kubeflow Pipelines server with a client; keyword arguments are those of `make_kfp_server`."""

    def make(**options: bool) -> Lab:
        server = make_kfp_server(**options)
        return Lab(server=server, client=connect(server), packages=compiled, probe=Probe(path=tmp_path / "probe.jsonl"))

    return make


@pytest.fixture
def lab(make_lab: MakeLab) -> Lab:
    """A Kubeflow Pipelines server for one user, with a client."""
    return make_lab()
