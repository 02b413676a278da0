"""The disk of the ledger, or of the runs, is full: said in one line, nothing is lost, and it goes on when there is room."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.acceptance.conftest import MakeWorkspace
from tests.acceptance.harness import Workspace, wait_until
from tests.acceptance.test_health import ended

PATIENCE_S = 300.0
MakeDisk = Callable[[Path, int], Path]


@pytest.fixture
def make_disk() -> Iterator[MakeDisk]:
    """Makes a folder a disk of so many megabytes; needs root."""
    made: list[Path] = []

    def make(folder: Path, megabytes: int) -> Path:
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
        made.append(folder)
        return folder

    yield make
    for folder in made:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(disk: Path) -> Path:
    """Leave no byte, nor what somebody has freed since the last time; returns the file that took them."""
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as file, suppress(OSError):
        while file.write(os.urandom(4096)):
            pass
    return ballast


@pytest.mark.timeout(1800)
def test_full_disk_is_said_loses_nothing_and_costs_no_attempt(
    light_workspace: MakeWorkspace, tmp_path: Path, make_disk: MakeDisk
) -> None:
    """First that of the ledger, then that of the runs; one daemon comes through both."""
    for_ledger, for_runs = make_disk(tmp_path / "small", 4), make_disk(tmp_path / "smallish", 20)
    ledger, mlflow = f'"sqlite:///{for_ledger}/ledger.db"', f'"sqlite:///{tmp_path}/workspace-0/var/mlflow.db"'
    top = f'workspace = "{for_runs}"\nledger = {ledger}\n[mlflow]\ntracking_uri = {mlflow}'
    workspace = light_workspace(top=top, attempts_max=1, listing_interval_s=1.0)
    workspace.start()
    require_full_ledger_to_be_outlived(workspace, for_ledger)
    require_full_disk_of_runs_to_be_outlived(workspace, for_runs)
    finish(workspace, states=["REJECTED"] * 4)


def require_full_ledger_to_be_outlived(workspace: Workspace, disk: Path) -> None:
    """A drop that arrives meanwhile is recorded, run and decided on as soon as there is room."""
    workspace.drop("churn_data_2025_01.csv", "a,Churn\nplain,1\n")
    wait_until(lambda: decided(workspace) == 1, "the first drop is decided on", PATIENCE_S)
    ballast = fill(disk)
    workspace.drop("churn_data_2025_02.csv", "a,Churn\nplain,2\n")
    wait_until(
        lambda: fill(disk) and put_off(workspace, "ledger: database or disk is full; make room"), "the daemon says so", PATIENCE_S
    )
    ballast.unlink()
    wait_until(lambda: decided(workspace) == 2, "the second drop is decided on", PATIENCE_S)


def require_full_disk_of_runs_to_be_outlived(workspace: Workspace, disk: Path) -> None:
    """It costs neither the run whose artifact does not fit an attempt, nor the one that would have started."""
    (disk / "half").write_bytes(b"x" * 9_000_000)
    workspace.drop("churn_data_2025_03.csv", "a,Churn\nbulky,1\n")
    (failed,) = wait_until(lambda: workspace.logged("run_failed")[:1], "the artifact does not fit", PATIENCE_S)
    assert failed["severity"] == "WARNING"
    assert "No space left on device" in failed["reason"]
    ballast = fill(disk)
    wait_until(lambda: fill(disk) and put_off(workspace, "cannot start run"), "no run is started", PATIENCE_S)
    workspace.drop("churn_data_2025_05.csv", "a,Churn\nplain,1\n")
    ballast.unlink()
    (disk / "half").unlink()
    wait_until(lambda: decided(workspace) == 4, "both drops are decided on", PATIENCE_S)


def put_off(workspace: Workspace, beginning: str) -> list[str]:
    """Sentences of the log that say what waits for room."""
    told = [line["reason"] for line in workspace.logged("reconcile_deferred")]
    return [reason for reason in told if reason.startswith(beginning) and "make room" in reason]


def decided(workspace: Workspace) -> int:
    """How many runs were decided on."""
    return len(workspace.logged("candidate_rejected"))


def finish(workspace: Workspace, *, states: list[str]) -> None:
    """The daemon has come through it; there is one run per drop, and nothing is left."""
    assert ended(workspace)
    assert [run["state"] for run in workspace.status()["runs"]] == states
    assert workspace.logged("reconcile_crashed") == []
    assert workspace.processes() == []
