"""What the real process answers over HTTP about its own health."""

import json
from datetime import datetime
from http.client import HTTPConnection
from typing import Any

import psutil

from tests.acceptance.conftest import MakeWorkspace
from tests.acceptance.harness import PATIENCE_S, Workspace, wait_until
from tests.emulators.cloud import GoogleCloud
from tests.emulators.kfp_server import KfpServer
from tests.emulators.processes import free_address

MEMORY_MIB_MAX = 200
BUSY_S = 30.0


def ask(address: str, path: str) -> tuple[int, dict[str, Any]]:
    """Status and document of a page; (0, {}) while nobody answers."""
    host, _, port = address.rpartition(":")
    connection = HTTPConnection(host, int(port), timeout=PATIENCE_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    except ConnectionError:
        return 0, {}
    finally:
        connection.close()


def has_status(address: str, path: str, status: int) -> dict[str, Any]:
    """The document once the page answers with this status."""

    def answered() -> dict[str, Any]:
        found, document = ask(address, path)
        return document if found == status else {}

    document: dict[str, Any] = wait_until(answered, f"{path} answers {status}")
    return document


def scraped(address: str) -> dict[str, float]:
    """Every sample of the daemon's own metrics, by its name with its labels."""
    host, _, port = address.rpartition(":")
    connection = HTTPConnection(host, int(port), timeout=PATIENCE_S)
    try:
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
    finally:
        connection.close()
    samples = (line.rpartition(" ") for line in lines if line.startswith("trainer_"))
    return {name: float(value) for name, _, value in samples}


def ended(workspace: Workspace) -> bool:
    """End the workspace's daemon; whether it went as it should, within ten seconds and what a busy machine may add."""
    daemon = workspace.children[-1]
    daemon.terminate()
    code = daemon.wait(PATIENCE_S)
    draining, stopped = (
        datetime.fromisoformat(workspace.logged(event)[-1]["time"]) for event in ("daemon_draining", "daemon_stopped")
    )
    return code == 0 and (stopped - draining).total_seconds() < 10 + BUSY_S


def test_services_that_are_elsewhere_are_asked(
    make_workspace: MakeWorkspace, google_cloud: GoogleCloud, kfp_server: KfpServer
) -> None:
    """A daemon that cannot reach MLflow is alive and not ready; the rest of what it needs is there."""
    address, nobody = free_address(), free_address()
    sections = [
        f'[http]\nlisten = "{address}"',
        f'[mlflow]\ntracking_uri = "http://{nobody}"',
        f'[orchestrator]\nkind = "kubeflow"\nhost = "{kfp_server.host}"\nimage = "trainer:1"\nlook_interval_s = 0.3',
    ]
    bucket, subscription = f"gs://{google_cloud.bucket}/in", google_cloud.subscription
    workspace = make_workspace(top="\n".join(sections), bucket=bucket, subscription=subscription)
    daemon = workspace.start()
    others = ("daemon", "ledger", "orchestrator", "bucket churn", f"subscription {subscription}")

    def are_reached() -> dict[str, str]:
        _, document = ask(address, "/readyz")
        parts: dict[str, str] = document.get("parts", {})
        settled = "refused" in parts.get("mlflow", "") and all(parts.get(name) == "ok" for name in others)
        return parts if settled else {}

    parts = wait_until(are_reached, "everything but MLflow is reached")
    assert set(parts) == {*others, "mlflow"}
    assert ask(address, "/readyz")[0] == 503
    assert f"subscribe {subscription}" in has_status(address, "/livez", 200)["loops"]
    assert psutil.Process(daemon.pid).memory_info().rss < MEMORY_MIB_MAX * 2**20
    assert ended(workspace)
