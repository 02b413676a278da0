"""MLflow goes down exactly when the champion's alias is to move, before or after it has moved, and stays down for a while."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import MakeWorkspace
from tests.acceptance.harness import Workspace, pause, wait_until
from tests.acceptance.registry_view import look_at
from tests.acceptance.test_health import ended
from tests.emulators.gate import Fault, Gate
from tests.emulators.mlflow_server import MlflowServer

OUTAGE_S = float(os.environ.get("TEST_OUTAGE_S", "15"))
"""By hand: TEST_OUTAGE_S=300."""
PATIENCE_S = 300.0 + 2 * OUTAGE_S
MOVE = b'"alias": "champion"'


@pytest.fixture
def gate(tmp_path: Path, furniture: Path) -> Iterator[Gate]:
    """In front of a real MLflow server."""
    server = MlflowServer(tmp_path, furniture / "mlflow.db")
    server.start()
    gate = Gate(server.port)
    gate.start()
    yield gate
    gate.close()
    server.kill()


def promoted(workspace: Workspace) -> int:
    """How many candidates were promoted."""
    return len(workspace.logged("candidate_promoted"))


def promote_with_outage(workspace: Workspace, gate: Gate, name: str, fault: Fault) -> None:
    """A drop whose candidate is better; MLflow falls at the move of its alias."""
    before, told = promoted(workspace), len(workspace.logged("reconcile_deferred"))
    gate.fall_at(MOVE, fault)
    workspace.drop(name, f"a,Churn\n{name},1\n")
    wait_until(gate.down.is_set, "the alias is to move", PATIENCE_S)
    began = time.monotonic()
    while time.monotonic() - began < OUTAGE_S or len(workspace.logged("reconcile_deferred")) == told:
        assert time.monotonic() - began < PATIENCE_S, "nobody said that MLflow was down"
        assert promoted(workspace) == before, "promoted without MLflow"
        pause(0.2)
    gate.start()
    wait_until(lambda: promoted(workspace) == before + 1, "the promotion is finished", PATIENCE_S)
    deferred = workspace.logged("reconcile_deferred")[told:]
    assert all(line["reason"].startswith("mlflow ") for line in deferred)


@pytest.mark.timeout(int(60 + 4 * PATIENCE_S))
def test_promotion_is_finished_once_when_mlflow_is_back(light_workspace: MakeWorkspace, gate: Gate) -> None:
    """Whether the alias had moved already or not: one version per run, one champion, and nobody else's hand is suspected."""
    top = f'[mlflow]\ntracking_uri = "{gate.uri}"\ncall_timeout_s = 10'
    workspace = light_workspace("registering", top=top)
    workspace.start()
    promote_with_outage(workspace, gate, "churn_data_2025_01.csv", "cut")
    promote_with_outage(workspace, gate, "churn_data_2025_02.csv", "lose reply")
    assert ended(workspace)
    status = workspace.status()
    runs = status["runs"]
    assert [(run["state"], run["attempt"], run["model_version"]) for run in runs] == [("PROMOTED", 1, "1"), ("PROMOTED", 1, "2")]
    assert status["champion"] == {"version": "2", "run": runs[1]["name"]}
    registry = look_at(gate.uri)
    assert registry.aliases == {"champion": "2", "previous-champion": "1"}
    assert [tags["trainer.run_key"] for _, tags in sorted(registry.versions.items())] == [run["key"] for run in runs]
    assert workspace.logged("champion_moved_externally") == []
    assert workspace.processes() == []
