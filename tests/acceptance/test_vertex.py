"""The main job with the real process, on a Vertex AI that executes what it is given."""

import json
import subprocess
import sys
import urllib.request
from typing import Any

import pytest

from tests.acceptance.conftest import MakeWorkspace
from tests.acceptance.harness import Workspace, wait_until
from tests.acceptance.registry_view import look
from tests.emulators.vertex_server import CREATE, JOBS, LOCATION, PROJECT, VertexServer
from trainer_daemon.demo_data import monthly_drop

PATIENCE_S = 420.0
"""Steps are processes of their own, and start slowly on a busy machine."""
CONSOLE = f"https://console.cloud.google.com/vertex-ai/locations/{LOCATION}/pipelines/runs"


def on_vertex(make_workspace: MakeWorkspace, server: VertexServer, **orchestrator: object) -> Workspace:
    """A workspace whose runs are executed by the server, with a fast model."""
    keys = {
        "kind": "vertex",
        "host": server.host,
        "project": PROJECT,
        "location": LOCATION,
        "pipeline_root": "gs://artifacts/runs",
        "image": "trainer:1",
        "look_interval_s": 0.3,
        **orchestrator,
    }
    top = "[orchestrator]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in keys.items())
    return make_workspace(top=top, training={"estimator": "logistic_regression"})


def job(server: VertexServer, name: str) -> dict[str, Any]:
    """A job as the service has it."""
    with urllib.request.urlopen(f"{server.host}/v1{JOBS}/{name}", timeout=30) as answer:  # noqa: S310 - our own address
        found: dict[str, Any] = json.load(answer)
        return found


def page(name: str) -> str:
    """A job in the console."""
    return f"{CONSOLE}/{name}?project={PROJECT}"


def make_rival_champion(workspace: Workspace) -> None:
    """A version of somebody else's, and a bad one."""
    database = f"sqlite:///{workspace.root / 'var' / 'mlflow.db'}"
    command = [sys.executable, "-m", "tests.acceptance.rival", database, "churn"]
    subprocess.run(command, capture_output=True, check=True, timeout=PATIENCE_S, cwd=workspace.root.parent)


@pytest.mark.timeout(1800)
def test_drop_becomes_a_champion_although_a_reply_is_lost_the_daemon_is_killed_and_the_alias_is_moved(
    make_workspace: MakeWorkspace, vertex_server: VertexServer
) -> None:
    """One job per pipeline - `training`, `evaluation`, `inference` -, told by ledger, registry, service and log alike."""
    workspace = on_vertex(make_workspace, vertex_server)
    vertex_server.execute(at_once=0)
    vertex_server.lose_replies(CREATE, times=1)
    workspace.drop("churn_data_2025_03.csv", monthly_drop(drift=0.0, seed=1))
    daemon = workspace.start()
    name = require_operator_to_cancel_a_run_and_ask_for_it_again(workspace, vertex_server)
    daemon.kill()
    daemon.wait(240)
    vertex_server.execute(at_once=2)
    wait_until(lambda: job(vertex_server, name)["state"] == "PIPELINE_STATE_SUCCEEDED", "the training ends", PATIENCE_S)
    make_rival_champion(workspace)

    assert workspace.run_until_idle(PATIENCE_S) == 0
    again = f"{name.removesuffix('-2')}-3"
    require_champion_compared_with_the_rival(workspace, again)
    predicted = require_predictions(workspace)
    executed = [job(vertex_server, each)["pipelineSpec"]["pipelineInfo"]["name"] for each in (name, again, predicted)]
    assert executed == ["training", "evaluation", "inference"]
    assert vertex_server.request_counts()[CREATE] == 4


def require_operator_to_cancel_a_run_and_ask_for_it_again(workspace: Workspace, server: VertexServer) -> str:
    """What commands say of a run names its page in the console; the job is cancelled, the next attempt, returned, is another."""
    (submitted,) = wait_until(lambda: workspace.logged("run_submitted"), "the run is submitted", PATIENCE_S)
    (run,) = workspace.status()["runs"]
    assert (run["state"], run["link"]) == ("RUNNING", page(run["name"]))
    assert (submitted["run"], submitted["link"]) == (run["name"], run["link"])
    assert f"watch it at {page(run['name'])}" in workspace.ask("explain", "2025-03").stdout

    assert workspace.ask("cancel", run["name"]).returncode == 0
    wait_until(lambda: workspace.logged("run_canceled"), "the run is cancelled", PATIENCE_S)
    assert job(server, run["name"])["state"] == "PIPELINE_STATE_CANCELLED"
    assert f"Its page: {page(run['name'])}" in workspace.ask("explain", "2025-03").stdout

    assert workspace.ask("trigger", "--period", "2025-03").returncode == 0
    (again,) = wait_until(lambda: workspace.logged("run_submitted")[1:], "another", PATIENCE_S)
    assert again["link"] == page(again["run"]) != page(run["name"])
    assert job(server, again["run"])["state"] == "PIPELINE_STATE_PENDING"
    return str(again["run"])


def require_champion_compared_with_the_rival(workspace: Workspace, again: str) -> None:
    """The run that evaluated it anew is the one that ledger and report name; nothing was lost, put off or wrong."""
    (run,) = workspace.status()["runs"]
    assert (run["period"], run["state"], run["orchestrator_run"], run["link"]) == ("2025-03", "PROMOTED", again, page(again))
    assert "evaluated on held-out rows against champion version 2" in run["decision"]["reasons"]
    registry = look(workspace.root)
    assert registry.aliases == {"champion": "1", "previous-champion": "2", "candidate": "2"}
    assert [tags["trainer.run_key"] for tags in registry.versions.values()] == [run["key"], "rival"]
    (report,) = workspace.root.rglob("report.html")
    assert f'href="{page(again)}"' in report.read_text()
    assert len(workspace.logged("run_reevaluated")) == 1
    assert workspace.logged("run_lost") == workspace.logged("reconcile_deferred") == []
    assert {line["severity"] for line in workspace.events()} <= {"DEBUG", "INFO", "WARNING"}


def require_predictions(workspace: Workspace) -> str:
    """By the champion, a row each; returns the name of the run."""
    dataset, out = workspace.root / "customers.csv", workspace.root / "scores.csv"
    dataset.write_text(monthly_drop(drift=0.5, seed=5, rows=50))
    done = workspace.call("predict", "--dataset", str(dataset), "--out", str(out), "--json", timeout_s=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    predicted = json.loads(done.stdout)
    assert (predicted["version"], predicted["rows"], len(out.read_text().splitlines())) == ("1", 50, 51)
    return str(predicted["run"])
