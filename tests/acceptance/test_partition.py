"""Packets between the daemon and its services are dropped without a word, in a network of its own; then they pass again."""

import ctypes
import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Literal

import pytest

from tests.acceptance.conftest import MakeWorkspace
from tests.acceptance.harness import Workspace, pause, wait_until
from tests.acceptance.test_health import ask, ended
from tests.emulators.gcs import GcsServer
from tests.emulators.kfp_server import KfpServer
from tests.emulators.mlflow_server import MlflowServer
from tests.emulators.processes import free_address

PARTITION_S = float(os.environ.get("TEST_PARTITION_S", "15"))
PATIENCE_S = 300.0
BUCKET = "drops"
REQUEST_TIMEOUT_S = 2
CALL_TIMEOUT_S = 12
_CLONE_NEWNET = 0x40000000


@pytest.fixture
def own_network() -> Iterator[None]:
    """This thread and what it starts are in a network namespace with nothing but a loopback; needs root and iptables."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if not (shutil.which("iptables") and shutil.which("ip")):
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs iptables and iproute2: apt-get install iptables iproute2")
    library = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open("rb") as before:
        if library.unshare(_CLONE_NEWNET):
            pytest.skip(f"no network namespace can be made here: {os.strerror(ctypes.get_errno())}")
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            yield
        finally:
            assert library.setns(before.fileno(), _CLONE_NEWNET) == 0


@contextmanager
def partitioned(end: Literal["--dport", "--sport"], *urls: str) -> Iterator[None]:
    """Within it no packet reaches these servers, or none from them reaches anybody."""
    rules = [["OUTPUT", "-p", "tcp", end, url.rpartition(":")[2], "-j", "DROP"] for url in urls]
    for rule in rules:
        subprocess.run(["iptables", "-A", *rule], check=True)
    try:
        yield
    finally:
        for rule in rules:
            subprocess.run(["iptables", "-D", *rule], check=True)


Services = tuple[KfpServer, GcsServer, MlflowServer]


@pytest.fixture
def away(own_network: None, tmp_path: Path, furniture: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:  # noqa: ARG001 - they are in it
    """Kubeflow Pipelines, a bucket and MLflow, in that network."""
    kfp, gcs, mlflow = KfpServer(tmp_path), GcsServer(tmp_path), MlflowServer(tmp_path, furniture / "mlflow.db")
    for name, value in gcs.environment.items():
        monkeypatch.setenv(name, value)
    with ExitStack() as stack:
        for service, end in ((mlflow, mlflow.kill), (kfp, kfp.stop), (gcs, gcs.stop)):
            service.start()
            stack.callback(end)
        yield kfp, gcs, mlflow


def upload(month: int) -> None:
    """Another drop."""
    from google.cloud import storage

    with closing(storage.Client()) as client:
        client.bucket(BUCKET).blob(f"churn_data_2025_{month:02}.csv").upload_from_string(f"a,Churn\n{month},1\n")


def runs_of(kfp: KfpServer) -> dict[str, str]:
    """The ids of the server's runs, by name; of two runs of one name the second."""
    with urllib.request.urlopen(f"{kfp.host}/apis/v2beta1/runs?page_size=100", timeout=240) as answer:  # noqa: S310 - our own address
        runs = json.loads(answer.read()).get("runs", [])
    assert len({run["display_name"] for run in runs}) == len(runs), "two runs of one name"
    return {run["display_name"]: run["run_id"] for run in runs}


def submitted(workspace: Workspace, kfp: KfpServer, number: int) -> str:
    """The id of the nth run, which has been submitted once."""
    told = wait_until(
        lambda: [
            line
            for name in ("run_submitted", "run_adopted")
            for line in workspace.logged(name)
            if f"2025-{number:02}" in line["run"]
        ],
        "the run is there",
        PATIENCE_S,
    )
    runs = runs_of(kfp)
    assert len(runs) == number
    return runs[told[0]["run"]]


def wait_until_decided(workspace: Workspace, number: int) -> None:
    """Until the nth run, which has ended, is decided on."""
    wait_until(lambda: len(workspace.logged("candidate_rejected")) == number, "the run is decided on", PATIENCE_S)


def wait_until_told(workspace: Workspace, words: str) -> None:
    """Until the log has newly said what cannot be reached; then the partition lasts a while."""
    before = len(workspace.logged("reconcile_deferred"))

    def told() -> bool:
        return any(words in line["reason"] for line in workspace.logged("reconcile_deferred")[before:])

    wait_until(told, f"the log says {words}", PATIENCE_S)
    pause(PARTITION_S)


@pytest.mark.timeout(int(1200 + 4 * PARTITION_S))
def test_partition_loses_and_repeats_nothing(light_workspace: MakeWorkspace, away: Services) -> None:
    """From everything while a run is under way; while one is to be submitted; from the replies only; and while one is judged."""
    from google.cloud import storage

    (kfp, gcs, mlflow), address = away, free_address()
    with closing(storage.Client()) as client:
        client.create_bucket(BUCKET)
    sections = [
        f'[http]\nlisten = "{address}"',
        f'[mlflow]\ntracking_uri = "{mlflow.uri}"\ncall_timeout_s = {CALL_TIMEOUT_S}',
        f'[orchestrator]\nkind = "kubeflow"\nhost = "{kfp.host}"\nimage = "trainer:1"\nrequest_timeout_s = {REQUEST_TIMEOUT_S}',
    ]
    top = "\n".join(sections)
    workspace = light_workspace("hello", top=top, bucket=f"gs://{BUCKET}", listing_interval_s=1.0)
    kfp.hold_runs()
    workspace.start()
    upload(1)
    wait_until(lambda: workspace.logged("run_submitted"), "the first run is under way", PATIENCE_S)
    with partitioned("--dport", kfp.host, gcs.url, mlflow.uri):
        wait_until_told(workspace, "Kubeflow Pipelines")
        status, alive = ask(address, "/livez")
        assert (status, alive["status"]) == (200, "alive")
    kfp.enter(submitted(workspace, kfp, 1), "SUCCEEDED")
    wait_until_decided(workspace, 1)
    with partitioned("--dport", kfp.host):
        upload(2)
        wait_until_told(workspace, "Kubeflow Pipelines")
    kfp.enter(submitted(workspace, kfp, 2), "SUCCEEDED")
    wait_until_decided(workspace, 2)
    with partitioned("--sport", kfp.host):
        upload(3)
        wait_until_told(workspace, "Kubeflow Pipelines")
    third = submitted(workspace, kfp, 3)
    with partitioned("--sport", mlflow.uri):
        kfp.enter(third, "SUCCEEDED")
        wait_until_told(workspace, "mlflow outcome")
        assert len(workspace.logged("candidate_rejected")) == 2
    wait_until_decided(workspace, 3)
    assert ended(workspace)
    assert [(run["state"], run["attempt"]) for run in workspace.status()["runs"]] == [("REJECTED", 1)] * 3
    assert len(runs_of(kfp)) == 3
    assert (workspace.logged("run_lost"), workspace.logged("reconcile_crashed")) == ([], [])
    assert workspace.processes() == []
