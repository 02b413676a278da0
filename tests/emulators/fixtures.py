"""Fixtures: what a first start makes, and servers on loopback ports, with real clients and processes pointed at them."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from tests.acceptance.furniture import furnish
from tests.emulators.certificates import issue
from tests.emulators.cloud import GoogleCloud
from tests.emulators.gcs import GcsServer
from tests.emulators.kfp_server import KfpServer
from tests.emulators.postgres import PostgresServer
from tests.emulators.pubsub.rates import Rates
from tests.emulators.pubsub_server import PubSubServer
from tests.emulators.vertex_server import VertexServer
from tests.made_once import made_once
from trainer_daemon.adapters.ledger import Ledger, postgres

if TYPE_CHECKING:
    from google.cloud import pubsub_v1, storage

Server = TypeVar("Server", PubSubServer, GcsServer)
MakePubSub = Callable[..., PubSubServer]
MakeGoogleCloud = Callable[..., GoogleCloud]
MakeKfpServer = Callable[..., KfpServer]
MakeVertexServer = Callable[[], VertexServer]
DATABASES = ("sqlite", "postgresql")
on_every_database = pytest.mark.parametrize("usual_ledger_url", DATABASES, indirect=True)


@pytest.fixture(scope="session")
def furniture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a first start leaves, one for all workers of a test run."""
    return made_once(tmp_path_factory, "furniture", furnish)


@pytest.fixture(scope="session")
def pubsub_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PubSubServer]:
    """One Pub/Sub service without faults for the whole session; use `pubsub`."""
    server = PubSubServer(tmp_path_factory.mktemp("pubsub"))
    yield from _running(server)


@pytest.fixture(scope="session")
def gcs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GcsServer]:
    """One bucket service for the whole session that notifies nobody; use `gcs`."""
    server = GcsServer(tmp_path_factory.mktemp("gcs"))
    yield from _running(server)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One PostgreSQL server for the whole session; take a database of your own, cause no outage."""
    with closing(PostgresServer(tmp_path_factory.mktemp("postgres"))) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(postgres, "CALL_S", 600.0)  # in this process a busy machine is no failure
        for name in postgres._SETTINGS:
            patch.setitem(postgres._SETTINGS, name, "240s")
        server.start()
        yield server


@pytest.fixture(scope="session")
def migrated_database(postgres_server: PostgresServer) -> str:
    """Name of a database with the tables of an empty ledger in it, to be copied."""
    name = postgres_server.create()
    Ledger(postgres_server.url(name)).close()
    return name


@pytest.fixture
def postgres_url(postgres_server: PostgresServer, migrated_database: str) -> Iterator[str]:
    """An empty ledger on PostgreSQL, of this test alone."""
    name = postgres_server.create(migrated_database)
    yield postgres_server.url(name)
    postgres_server.drop(name)


@pytest.fixture(params=DATABASES)
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty ledger, once on each database that there may be."""
    return _ledger_on(request.param, request, tmp_path)


@pytest.fixture
def usual_ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty ledger on SQLite; a test that is marked `on_every_database` has its turn on each."""
    return _ledger_on(getattr(request, "param", "sqlite"), request, tmp_path)


def _ledger_on(database: str, request: pytest.FixtureRequest, folder: Path) -> str:
    if database == "sqlite":
        return f"sqlite:///{folder / 'var' / 'ledger.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def pubsub(pubsub_server: PubSubServer, monkeypatch: pytest.MonkeyPatch) -> PubSubServer:
    """A Pub/Sub service that other tests use too: take names of your own, cause no outage."""
    _point(monkeypatch, pubsub_server.environment)
    return pubsub_server


@pytest.fixture
def gcs(gcs_server: GcsServer, monkeypatch: pytest.MonkeyPatch) -> GcsServer:
    """A bucket service that other tests use too: take a bucket of your own."""
    _point(monkeypatch, gcs_server.environment)
    return gcs_server


@pytest.fixture
def make_pubsub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakePubSub]:
    """Start the test's own Pub/Sub service; keyword arguments are those of `Rates`."""
    made: list[PubSubServer] = []

    def make(**rates: Any) -> PubSubServer:  # noqa: ANN401 - those of Rates
        made.append(PubSubServer(tmp_path, Rates(**rates)))
        made[-1].start()
        _point(monkeypatch, made[-1].environment)
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def make_google_cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeGoogleCloud]:
    """Start the test's own bucket, topic and subscription; keyword arguments are those of `Rates`."""
    made: list[GoogleCloud] = []

    def make(**rates: Any) -> GoogleCloud:  # noqa: ANN401 - those of Rates
        folder = tmp_path / f"google-cloud-{len(made)}"
        folder.mkdir()
        made.append(GoogleCloud(folder, Rates(**rates)))
        _point(monkeypatch, made[-1].environment)
        made[-1].start()
        return made[-1]

    yield make
    for cloud in made:
        cloud.stop()


@pytest.fixture
def google_cloud(make_google_cloud: MakeGoogleCloud) -> GoogleCloud:
    """The test's own bucket, topic and subscription, without faults."""
    return make_google_cloud()


@pytest.fixture
def make_kfp_server(tmp_path: Path) -> Iterator[MakeKfpServer]:
    """Start the test's own Kubeflow Pipelines server; `is_multi_user` and `is_https` are False if not given."""
    made: list[KfpServer] = []

    def make(*, is_multi_user: bool = False, is_https: bool = False) -> KfpServer:
        folder = tmp_path / f"kfp-server-{len(made)}"
        folder.mkdir()
        made.append(KfpServer(folder, is_multi_user=is_multi_user, certificates=issue(folder) if is_https else None))
        made[-1].start()
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def kfp_server(make_kfp_server: MakeKfpServer) -> KfpServer:
    """The test's own Kubeflow Pipelines server, for one user, without faults, that lets anybody in."""
    return make_kfp_server()


@pytest.fixture
def make_vertex_server(tmp_path: Path) -> Iterator[MakeVertexServer]:
    """Start the test's own Vertex AI server."""
    made: list[VertexServer] = []

    def make() -> VertexServer:
        folder = tmp_path / f"vertex-server-{len(made)}"
        folder.mkdir()
        made.append(VertexServer(folder))
        made[-1].start()
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def vertex_server(make_vertex_server: MakeVertexServer) -> VertexServer:
    """The test's own Vertex AI server, without faults."""
    return make_vertex_server()


@pytest.fixture
def publisher(pubsub: PubSubServer) -> Iterator["pubsub_v1.PublisherClient"]:  # noqa: ARG001 - it points the client
    """The real client of `pubsub`."""
    from google.cloud import pubsub_v1

    client = pubsub_v1.PublisherClient()
    yield client
    client.stop()
    client.transport.close()


@pytest.fixture
def subscriber(pubsub: PubSubServer) -> Iterator["pubsub_v1.SubscriberClient"]:  # noqa: ARG001 - it points the client
    """The real client of `pubsub`."""
    from google.cloud import pubsub_v1

    with pubsub_v1.SubscriberClient() as client:
        yield client


@pytest.fixture
def storage_client(gcs: GcsServer) -> Iterator["storage.Client"]:  # noqa: ARG001 - it points the client
    """The real client of `gcs`."""
    from google.cloud import storage

    with closing(storage.Client()) as client:
        yield client


def _running(server: Server) -> Iterator[Server]:
    server.start()
    yield server
    server.stop()


def _point(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
