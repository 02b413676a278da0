"""The main job with the real process, on a Vertex AI that executes what it is given."""

import json

from tests.acceptance.conftest import MakeWorkspace
from tests.acceptance.harness import Workspace, wait_until
from tests.acceptance.registry_view import look
from tests.emulators.vertex_server import CREATE, LOCATION, PROJECT, VertexServer
from trainer_daemon.demo_data import monthly_drop

PATIENCE_S = 270.0
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


def test_drop_becomes_a_champion_although_a_reply_is_lost_and_the_daemon_is_killed(
    make_workspace: MakeWorkspace, vertex_server: VertexServer
) -> None:
    """One job, one version, one champion, told by ledger, registry, service and log alike."""
    workspace = on_vertex(make_workspace, vertex_server)
    vertex_server.lose_replies(CREATE, times=1)
    workspace.drop("churn_data_2025_03.csv", monthly_drop(drift=0.0, seed=1))
    daemon = workspace.start()
    (submitted,) = wait_until(lambda: workspace.logged("run_submitted"), "the run is submitted", PATIENCE_S)
    daemon.kill()
    daemon.wait(10)
    assert workspace.run_until_idle(PATIENCE_S) == 0
    (run,) = workspace.status()["runs"]
    assert (run["period"], run["state"], run["orchestrator_run"]) == ("2025-03", "PROMOTED", run["name"])
    assert submitted["link"] == f"{CONSOLE}/{run['name']}?project={PROJECT}"
    registry = look(workspace.root)
    assert registry.aliases == {"champion": "1", "candidate": "1"}
    assert [tags["trainer.run_key"] for tags in registry.versions.values()] == [run["key"]]
    assert vertex_server.request_counts()[CREATE] == 1
    assert workspace.logged("run_lost") == workspace.logged("reconcile_deferred") == []
    assert {line["severity"] for line in workspace.events()} <= {"DEBUG", "INFO"}
