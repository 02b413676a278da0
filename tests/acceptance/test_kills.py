"""`kill -9` for every part of the system, one after another, at random moments over sixty drops."""

import random
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.conftest import MakeWorkspace
from tests.acceptance.harness import wait_until
from tests.acceptance.kills import PATIENCE_S, Part, Storm, kill_children, kill_daemon, require_exactly_once
from tests.acceptance.test_overload import runs_of
from tests.emulators.cloud import GoogleCloud
from tests.emulators.kfp_server import KfpServer
from tests.emulators.mlflow_server import MlflowServer
from tests.emulators.postgres import PostgresServer

MONTHS = [f"{2020 + number // 12}-{number % 12 + 1:02}" for number in range(30)]
SEED = 7


@pytest.fixture
def mlflow_server(tmp_path: Path, furniture: Path) -> Iterator[MlflowServer]:
    """A real one."""
    server = MlflowServer(tmp_path, furniture / "mlflow.db")
    server.start()
    yield server
    server.kill()


def name_of(month: str) -> str:
    """Of its drop."""
    return f"churn_data_{month}.csv"


@pytest.mark.timeout(int(2 * PATIENCE_S))
def test_kills_on_one_machine(light_workspace: MakeWorkspace, mlflow_server: MlflowServer) -> None:
    """Of the daemon, of its children - runs, their steps, the process for MLflow - all or one, and of the MLflow server."""
    top = f'[mlflow]\ntracking_uri = "{mlflow_server.uri}"\ncall_timeout_s = 15'
    workspace = light_workspace("registering", top=top, attempts_max=50, listing_interval_s=2.0)
    chance = random.Random(SEED)
    parts = {
        "daemon": Part(kill=lambda: kill_daemon(workspace), start=workspace.start),
        "children": Part(kill=lambda: kill_children(workspace)),
        "child": Part(kill=lambda: kill_children(workspace, chance)),
        "mlflow": Part(kill=mlflow_server.kill, start=mlflow_server.launch),
    }
    victims = ["daemon", "child", "children", "mlflow", "child", "children", "daemon"]
    workspace.start()
    storm = Storm(
        workspace=workspace,
        parts=parts,
        victims=victims,
        upload=lambda month: workspace.drop(name_of(month), f"a,Churn\n{month},1\n"),
        seed=SEED,
    )
    wait_until(lambda: workspace.logged("daemon_started"), "the daemon starts", PATIENCE_S)
    storm.blow(MONTHS)
    workspace.children[-1].send_signal(signal.SIGTERM)
    assert workspace.children[-1].wait(240) == 0
    executed = [path.parent.name for path in (workspace.root / "var" / "runs").glob("*/request.json")]
    require_exactly_once(workspace, MONTHS, mlflow_server.uri, executed)


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[PostgresServer]:
    """One that no other test uses."""
    with closing(PostgresServer(tmp_path)) as server:
        server.start()
        yield server


@pytest.mark.timeout(int(2 * PATIENCE_S))
def test_kills_beside_servers(
    light_workspace: MakeWorkspace,
    mlflow_server: MlflowServer,
    google_cloud: GoogleCloud,
    kfp_server: KfpServer,
    postgres: PostgresServer,
) -> None:
    """Of the daemon, PostgreSQL, Kubeflow Pipelines, Pub/Sub and Cloud Storage."""
    sections = [
        f'ledger = "{postgres.url()}"',
        f'[mlflow]\ntracking_uri = "{mlflow_server.uri}"\ncall_timeout_s = 15',
        f'[orchestrator]\nkind = "kubeflow"\nhost = "{kfp_server.host}"\nimage = "trainer:1"\nrequest_timeout_s = 10',
        "look_interval_s = 0.3",
    ]
    bucket = {"bucket": f"gs://{google_cloud.bucket}/in", "subscription": google_cloud.subscription}
    workspace = light_workspace("registering", top="\n".join(sections), attempts_max=50, listing_interval_s=5.0, **bucket)
    parts = {
        "daemon": Part(kill=lambda: kill_daemon(workspace), start=workspace.start),
        "kfp": Part(kill=kfp_server.kill, start=kfp_server.start),
        "pubsub": Part(kill=google_cloud.pubsub.kill, start=google_cloud.pubsub.start),
        "gcs": Part(kill=google_cloud.gcs.kill, start=google_cloud.gcs.start),
        "ledger": Part(kill=postgres.kill, start=postgres.start),
    }
    victims = ["ledger", "kfp", "pubsub", "gcs", "daemon", "kfp", "ledger"]
    workspace.start()
    wait_until(lambda: workspace.logged("stream_opened"), "the stream opens", PATIENCE_S)
    storm = Storm(
        workspace=workspace,
        parts=parts,
        victims=victims,
        upload=lambda month: google_cloud.upload(f"in/{name_of(month)}", f"a,Churn\n{month},1\n"),
        away="gcs",
        seed=SEED,
    )
    storm.blow(MONTHS)
    wait_until(lambda: google_cloud.counts()["backlog"] == 0, "everything is acknowledged", PATIENCE_S)
    workspace.children[-1].send_signal(signal.SIGTERM)
    assert workspace.children[-1].wait(240) == 0
    require_exactly_once(workspace, MONTHS, mlflow_server.uri, [run["display_name"] for run in runs_of(kfp_server)])
