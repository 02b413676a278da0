"""Fixtures of many adapters' tests: the compiled test pipelines, and an MLflow database as it is in the beginning."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.emulators.certificates import issue
from tests.emulators.fixtures import MakeKfpServer, MakeVertexServer
from tests.emulators.kfp_server import KfpServer
from tests.emulators.pool import Pool
from tests.emulators.vertex_server import VertexServer
from tests.integration.orchestrator_contract import compile_probes
from tests.made_once import made_once
from trainer_daemon.adapters.ledger import database
from trainer_daemon.probing import Probe


@pytest.fixture(scope="session", autouse=True)
def patience() -> Iterator[None]:
    """A busy machine is no failure: what gives up after seconds in this process gives up after minutes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "BUSY_TIMEOUT_S", 240)
        patch.setitem(Probe.__init__.__kwdefaults__ or {}, "deadline_s", 240.0)
        yield


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the compiled test pipelines."""
    return made_once(tmp_path_factory, "probes", compile_probes)


@pytest.fixture(scope="session")
def compiled_pipelines(furniture: Path) -> Path:
    """The folder of our own pipelines, compiled."""
    (folder,) = (furniture / "pipelines").iterdir()
    return folder


@pytest.fixture(scope="session")
def mlflow_database(furniture: Path) -> Path:
    """MLflow's own SQLite file with all tables and nothing in them; to be copied, since making one takes seconds."""
    return furniture / "mlflow.db"


@pytest.fixture(scope="session")
def author_process() -> Iterator["subprocess.Popen[str]"]:
    """The process that writes into MLflow."""
    command = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("registry_author.py"))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        yield process
        assert process.stdin
        process.stdin.close()


@pytest.fixture(scope="session")
def kfp_servers() -> Iterator[Pool[KfpServer]]:
    """For one test after the other."""
    with closing(Pool[KfpServer]()) as pool:
        yield pool


@pytest.fixture(scope="session")
def vertex_servers() -> Iterator[Pool[VertexServer]]:
    """For one test after the other."""
    with closing(Pool[VertexServer]()) as pool:
        yield pool


@pytest.fixture
def make_kfp_server(kfp_servers: Pool[KfpServer], tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeKfpServer]:
    """As everywhere, but a server that another test had and left empty will do."""
    with ExitStack() as lent:

        def make(*, is_multi_user: bool = False, is_https: bool = False) -> KfpServer:
            def new() -> KfpServer:
                folder = tmp_path_factory.mktemp("kfp-server")
                return KfpServer(folder, is_multi_user=is_multi_user, certificates=issue(folder) if is_https else None)

            return lent.enter_context(kfp_servers.lent((is_multi_user, is_https), new))

        yield make


@pytest.fixture
def make_vertex_server(
    vertex_servers: Pool[VertexServer], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MakeVertexServer]:
    """As everywhere, but a server that another test had and left empty will do."""
    with ExitStack() as lent:
        yield lambda: lent.enter_context(
            vertex_servers.lent("vertex", lambda: VertexServer(tmp_path_factory.mktemp("vertex-server")))
        )
