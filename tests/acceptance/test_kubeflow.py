"""The main job with the real process, on a server of Kubeflow Pipelines that executes what it is given."""

import json
from pathlib import Path

import psutil

from tests.acceptance.conftest import MakeWorkspace
from tests.acceptance.harness import Workspace, wait_until
from tests.acceptance.registry_view import look
from tests.emulators.fixtures import MakeKfpServer
from tests.emulators.kfp_server import KfpServer
from trainer_daemon.demo_data import monthly_drop

MEMORY_MIB_MAX = 200
PATIENCE_S = 270.0
"""Steps are processes of their own, and start slowly on a busy machine."""


def on_kubeflow(make_workspace: MakeWorkspace, server: KfpServer, **orchestrator: object) -> Workspace:
    """A workspace whose runs are executed by the server, with a fast model."""
    keys = {
        "kind": "kubeflow",
        "host": server.host,
        "image": "trainer:1",
        "look_interval_s": 0.3,
        "ui_url": "https://kf.example",
        **orchestrator,
    }
    top = "[orchestrator]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in keys.items())
    return make_workspace(top=top, training={"estimator": "logistic_regression"})


def test_monthly_drops_become_runs_decisions_and_a_champion(make_workspace: MakeWorkspace, kfp_server: KfpServer) -> None:
    """The same as on one machine, told by ledger, registry, server and log alike; stdout is lines of JSON and nothing else."""
    workspace = on_kubeflow(make_workspace, kfp_server)
    for month, name in enumerate(("2025_03", "2025_05")):
        workspace.drop(f"churn_data_{name}.csv", monthly_drop(drift=month / 2, seed=1))
    assert workspace.run_until_idle(PATIENCE_S) == 0
    status = workspace.status()
    assert [(run["period"], run["state"]) for run in status["runs"]] == [("2025-03", "PROMOTED"), ("2025-05", "PROMOTED")]
    assert status["champion"] == {"version": "2", "run": status["runs"][1]["name"]}

    registry = look(workspace.root)
    assert registry.aliases == {"champion": "2", "previous-champion": "1", "candidate": "2"}
    assert {tags["trainer.run_key"] for tags in registry.versions.values()} == {run["key"] for run in status["runs"]}

    counts = kfp_server.request_counts()
    assert (counts["POST /runs"], counts["POST /pipelines/upload_version"], counts["POST /experiments"]) == (2, 1, 1)
    assert len(workspace.log.read_text().splitlines()) == len(workspace.events())
    assert {line["severity"] for line in workspace.events()} <= {"DEBUG", "INFO"}
    submitted = workspace.logged("run_submitted")
    assert [line["link"] for line in submitted] == [
        f"https://kf.example/#/runs/details/{run['orchestrator_run']}" for run in status["runs"]
    ]


def test_daemon_killed_during_a_run_goes_on_with_it(make_workspace: MakeWorkspace, kfp_server: KfpServer) -> None:
    """The run is watched on, not repeated, by the next one."""
    workspace = on_kubeflow(make_workspace, kfp_server)
    workspace.drop("churn_data_2025_03.csv", monthly_drop(drift=0.0, seed=1))
    daemon = workspace.start()
    wait_until(lambda: workspace.logged("run_submitted"), "the run is submitted", PATIENCE_S)
    daemon.kill()
    daemon.wait(10)
    assert workspace.run_until_idle(PATIENCE_S) == 0
    assert [run["state"] for run in workspace.status()["runs"]] == ["PROMOTED"]
    assert kfp_server.request_counts()["POST /runs"] == 1
    assert workspace.logged("run_lost") == []


def test_lost_reply_leaves_one_run(make_workspace: MakeWorkspace, kfp_server: KfpServer) -> None:
    """And nobody notices."""
    workspace = on_kubeflow(make_workspace, kfp_server)
    kfp_server.lose_replies("POST /runs", times=1)
    workspace.drop("churn_data_2025_03.csv", monthly_drop(drift=0.0, seed=1))
    assert workspace.run_until_idle(PATIENCE_S) == 0
    assert kfp_server.request_counts()["POST /runs"] == 1
    assert len(look(workspace.root).versions) == 1
    assert workspace.logged("reconcile_deferred") == []


def test_corrected_upload_ends_and_archives_the_run_that_is_under_way(
    make_workspace: MakeWorkspace, kfp_server: KfpServer
) -> None:
    """The older run is never promoted; the corrected bytes are trained."""
    workspace = on_kubeflow(make_workspace, kfp_server, archive_superseded=True)
    workspace.drop("churn_data_2025_03.csv", monthly_drop(drift=0.0, seed=1))
    daemon = workspace.start()
    wait_until(lambda: workspace.logged("run_submitted"), "the first run is submitted", PATIENCE_S)
    workspace.drop("churn_data_2025_03.csv", monthly_drop(drift=0.0, seed=2))
    wait_until(lambda: workspace.logged("candidate_promoted"), "the corrected drop is promoted", PATIENCE_S)
    daemon.terminate()
    assert daemon.wait(10) == 0
    status = workspace.status()
    assert [run["state"] for run in status["runs"]] == ["SUPERSEDED", "PROMOTED"]
    routes = kfp_server.request_counts()
    first = status["runs"][0]["orchestrator_run"]
    assert (routes[f"POST /runs/{first}:terminate"], routes[f"POST /runs/{first}:archive"]) == (1, 1)


def test_credential_that_is_refused_waits_for_a_person_and_fails_no_run(
    make_workspace: MakeWorkspace, make_kfp_server: MakeKfpServer, tmp_path: Path
) -> None:
    """One error; the token is put right while the daemon runs."""
    server = make_kfp_server()
    server.require_tokens("right")
    token = tmp_path / "token"
    token.write_text("wrong")
    workspace = on_kubeflow(make_workspace, server, auth="service_account_token", token_file=str(token))
    workspace.drop("churn_data_2025_03.csv", monthly_drop(drift=0.0, seed=1))
    daemon = workspace.start()
    (line,) = wait_until(lambda: workspace.logged("credential_refused"), "the credential is refused")
    assert line["severity"] == "ERROR"
    wait_until(lambda: workspace.logged("reconcile_deferred"), "the run waits")
    token.write_text("right")
    wait_until(lambda: workspace.logged("candidate_promoted"), "the drop is promoted", PATIENCE_S)
    daemon.terminate()
    assert daemon.wait(10) == 0
    assert (len(workspace.logged("credential_refused")), workspace.logged("run_failed")) == (1, [])


def test_idle_daemon_stays_small(make_workspace: MakeWorkspace, kfp_server: KfpServer) -> None:
    """The client of Kubeflow Pipelines is loaded, the SDK is not."""
    workspace = on_kubeflow(make_workspace, kfp_server)
    daemon = workspace.start()
    wait_until(lambda: workspace.logged("daemon_started"), "the daemon starts")
    assert psutil.Process(daemon.pid).memory_info().rss < MEMORY_MIB_MAX * 2**20
    daemon.terminate()
    assert daemon.wait(10) == 0


def test_missing_image_stops_the_start_with_one_sentence(make_workspace: MakeWorkspace, kfp_server: KfpServer) -> None:
    """Without it no step could run; exit code 2."""
    done = on_kubeflow(make_workspace, kfp_server, image="").call("run")
    assert done.returncode == 2
    assert "orchestrator.image is missing" in done.stderr
