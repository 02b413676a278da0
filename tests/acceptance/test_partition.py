"""Packets between the daemon and its services are dropped without a word, in a network of its own; then they pass again."""

import ctypes
import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

import pytest

from tests.acceptance.conftest import MakeWorkspace
from tests.acceptance.harness import Workspace, pause, wait_until
from tests.acceptance.test_health import ask, ended, free_address
from tests.emulators.gcs import GcsServer
from tests.emulators.kfp_server import KfpServer

PARTITION_S = float(os.environ.get("TEST_PARTITION_S", "15"))
PATIENCE_S = 300.0
BUCKET = "drops"
REQUEST_TIMEOUT_S = 2
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


@pytest.fixture
def away(own_network: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[KfpServer, GcsServer]]:  # noqa: ARG001 - they are in it
    """Kubeflow Pipelines and a bucket, in that network."""
    kfp, gcs = KfpServer(tmp_path), GcsServer(tmp_path)
    for name, value in gcs.environment.items():
        monkeypatch.setenv(name, value)
    kfp.start()
    gcs.start()
    yield kfp, gcs
    gcs.stop()
    kfp.stop()


def upload(month: int) -> None:
    """Another drop."""
    from google.cloud import storage

    with closing(storage.Client()) as client:
        client.bucket(BUCKET).blob(f"churn_data_2025_{month:02}.csv").upload_from_string(f"a,Churn\n{month},1\n")


def runs_of(kfp: KfpServer) -> dict[str, str]:
    """The ids of the server's runs, by name; of two runs of one name the second."""
    with urllib.request.urlopen(f"{kfp.host}/apis/v2beta1/runs?page_size=100", timeout=30) as answer:  # noqa: S310 - our own address
        runs = json.loads(answer.read()).get("runs", [])
    assert len({run["display_name"] for run in runs}) == len(runs), "two runs of one name"
    return {run["display_name"]: run["run_id"] for run in runs}


def finish_run(workspace: Workspace, kfp: KfpServer, number: int) -> None:
    """The nth run has been submitted once, and ends well."""
    submitted = wait_until(
        lambda: [*workspace.logged("run_submitted"), *workspace.logged("run_adopted")][number - 1 :],
        "the run is there",
        PATIENCE_S,
    )
    runs = runs_of(kfp)
    assert len(runs) == number
    kfp.enter(runs[submitted[0]["run"]], "SUCCEEDED")
    wait_until(lambda: len(workspace.logged("candidate_rejected")) == number, "the run is decided on", PATIENCE_S)


def wait_until_told(workspace: Workspace, words: str) -> None:
    """Until the log has newly said what cannot be reached; then the partition lasts a while."""
    before = len(workspace.logged("reconcile_deferred"))

    def told() -> bool:
        return any(words in line["reason"] for line in workspace.logged("reconcile_deferred")[before:])

    wait_until(told, f"the log says {words}", PATIENCE_S)
    pause(PARTITION_S)


@pytest.mark.timeout(1200)
def test_partition_loses_and_repeats_nothing(light_workspace: MakeWorkspace, away: tuple[KfpServer, GcsServer]) -> None:
    """From everything while a run is under way; while one is to be submitted; and from the replies only."""
    from google.cloud import storage

    (kfp, gcs), address = away, free_address()
    with closing(storage.Client()) as client:
        client.create_bucket(BUCKET)
    orchestrator = f'kind = "kubeflow"\nhost = "{kfp.host}"\nimage = "trainer:1"\nrequest_timeout_s = {REQUEST_TIMEOUT_S}'
    top = f'[http]\nlisten = "{address}"\n[orchestrator]\n{orchestrator}'
    workspace = light_workspace("hello", top=top, bucket=f"gs://{BUCKET}", listing_interval_s=1.0)
    kfp.hold_runs()
    workspace.start()
    upload(1)
    wait_until(lambda: workspace.logged("run_submitted"), "the first run is under way", PATIENCE_S)
    with partitioned("--dport", kfp.host, gcs.url):
        wait_until_told(workspace, "Kubeflow Pipelines")
        status, alive = ask(address, "/livez")
        assert (status, alive["status"]) == (200, "alive")
    finish_run(workspace, kfp, 1)
    with partitioned("--dport", kfp.host):
        upload(2)
        wait_until_told(workspace, "Kubeflow Pipelines")
    finish_run(workspace, kfp, 2)
    with partitioned("--sport", kfp.host):
        upload(3)
        wait_until_told(workspace, "Kubeflow Pipelines")
    finish_run(workspace, kfp, 3)
    assert ended(workspace)
    assert [(run["state"], run["attempt"]) for run in workspace.status()["runs"]] == [("REJECTED", 1)] * 3
    assert len(runs_of(kfp)) == 3
    assert (workspace.logged("run_lost"), workspace.logged("reconcile_crashed")) == ([], [])
    assert workspace.processes() == []
