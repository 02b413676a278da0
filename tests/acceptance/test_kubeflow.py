"""The main job and predictions with the real process, on Cloud Storage, Pub/Sub and Kubeflow Pipelines that executes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.acceptance.conftest import MakeWorkspace
from tests.acceptance.harness import Workspace, wait_until
from tests.acceptance.registry_view import look
from tests.acceptance.test_google import MARCH, keys_on
from tests.acceptance.test_predict import require_one_run_on_kubeflow, require_refusal_in_one_sentence
from tests.emulators.cloud import GoogleCloud
from tests.emulators.kfp_server import KfpServer
from trainer_daemon.demo_data import monthly_drop

MAY = "in/churn_data_2025_05.csv"
MEMORY_MIB_MAX = 200
PATIENCE_S = 270.0
"""Steps are processes of their own, and start slowly on a busy machine."""


def on_kubeflow(make_workspace: MakeWorkspace, server: KfpServer, model: Mapping[str, Any], **orchestrator: object) -> Workspace:
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
    return make_workspace(top=top, training={"estimator": "logistic_regression"}, **model)


@pytest.mark.timeout(1800)
def test_monthly_drops_become_runs_decisions_and_a_champion(
    make_workspace: MakeWorkspace, google_cloud: GoogleCloud, kfp_server: KfpServer, tmp_path: Path
) -> None:
    """On Google Cloud as on one machine, with a credential, a reply, a corrected upload and a daemon that get into its way."""
    token = tmp_path / "token"
    token.write_text("wrong")
    kfp_server.require_tokens("right")
    credential = {"auth": "service_account_token", "token_file": str(token)}
    workspace = on_kubeflow(make_workspace, kfp_server, keys_on(google_cloud), archive_superseded=True, **credential)
    daemon = workspace.start()
    wait_until(lambda: workspace.logged("stream_opened"), "the stream opens", PATIENCE_S)
    older = google_cloud.upload(MARCH, monthly_drop(drift=0.0, seed=2, rows=50_000))  # takes long
    google_cloud.upload("in/notes.txt", "no drop")
    google_cloud.upload("elsewhere/churn_data_2025_03.csv", "foreign")
    require_refused_credential_to_wait_for_a_person(workspace)
    require_to_be_small(daemon.pid)
    refused = kfp_server.request_counts()["POST /runs"]
    kfp_server.lose_replies("POST /runs", times=1)
    token.write_text("right")
    wait_until(lambda: workspace.logged("run_submitted"), "the first run is submitted", PATIENCE_S)
    assert kfp_server.request_counts()["POST /runs"] == refused + 1, "its reply was lost, and there is one run all the same"
    newer = google_cloud.upload(MARCH, monthly_drop(drift=0.0, seed=1))
    wait_until(lambda: workspace.logged("run_submitted")[1:], "the corrected drop's run is submitted", PATIENCE_S)
    google_cloud.upload(MARCH, monthly_drop(drift=0.0, seed=1))
    require_notifications_to_have_told_everything(workspace, google_cloud)
    daemon.kill()
    daemon.wait(240)
    require_superseded_run_to_be_archived(workspace, kfp_server)

    last = google_cloud.upload(MAY, monthly_drop(drift=0.5, seed=1))
    before = len(workspace.events())
    assert workspace.run_until_idle(PATIENCE_S) == 0
    assert {line["severity"] for line in workspace.events()[before:]} <= {"DEBUG", "INFO"}
    drops = [
        f"gs://{google_cloud.bucket}/{name}#{generation}" for name, generation in ((MARCH, older), (MARCH, newer), (MAY, last))
    ]
    assert [run["drops"] for run in workspace.status()["runs"]] == [[drop] for drop in drops]
    require_story_of_ledger_registry_and_server(workspace, kfp_server)
    assert kfp_server.request_counts()["POST /runs"] == refused + 3, "the run of the daemon that was killed is not repeated"
    assert (workspace.logged("run_lost"), workspace.logged("run_failed")) == ([], [])
    assert len(workspace.logged("credential_refused")) == 1
    require_one_run_on_kubeflow(workspace, kfp_server)
    require_refusal_in_one_sentence(workspace, kfp_server)


def require_notifications_to_have_told_everything(workspace: Workspace, cloud: GoogleCloud) -> None:
    """Each is acknowledged; the same bytes again start nothing, what lies elsewhere is said, what is no drop is passed over."""
    wait_until(lambda: workspace.logged("event_duplicated"), "the same bytes are known", PATIENCE_S)
    wait_until(lambda: cloud.counts()["backlog"] == 0, "everything is acknowledged", PATIENCE_S)
    assert {event["source"] for event in workspace.logged("event_recorded")} == {"pubsub"}
    (rejected,) = workspace.logged("event_rejected")
    assert "lies outside of" in rejected["reason"]


def require_refused_credential_to_wait_for_a_person(workspace: Workspace) -> None:
    """One error; the token can be put right while the daemon runs."""
    (line,) = wait_until(lambda: workspace.logged("credential_refused"), "the credential is refused", PATIENCE_S)
    assert line["severity"] == "ERROR"
    wait_until(lambda: workspace.logged("reconcile_deferred"), "the run waits", PATIENCE_S)


def require_to_be_small(pid: int) -> None:
    """The client of Kubeflow Pipelines is loaded, the SDK is not."""
    assert psutil.Process(pid).memory_info().rss < MEMORY_MIB_MAX * 2**20


def require_superseded_run_to_be_archived(workspace: Workspace, server: KfpServer) -> None:
    """The older run is ended on the server, and put away."""
    superseded = workspace.status()["runs"][0]
    assert superseded["state"] == "SUPERSEDED"
    routes, run = server.request_counts(), superseded["orchestrator_run"]
    assert (routes[f"POST /runs/{run}:terminate"], routes[f"POST /runs/{run}:archive"]) == (1, 1)


def require_story_of_ledger_registry_and_server(workspace: Workspace, server: KfpServer) -> None:
    """Alike, and stdout is lines of JSON and nothing else."""
    status, registry = workspace.status(), look(workspace.root)
    runs = status["runs"][1:]
    assert [(run["period"], run["state"]) for run in runs] == [("2025-03", "PROMOTED"), ("2025-05", "PROMOTED")]
    assert status["champion"] == {"version": "2", "run": runs[1]["name"]}
    assert registry.aliases == {"champion": "2", "previous-champion": "1", "candidate": "2"}
    assert sorted(tags["trainer.run_key"] for tags in registry.versions.values()) == sorted(run["key"] for run in runs)
    counts = server.request_counts()
    assert (counts["POST /pipelines/upload_version"], counts["POST /experiments"]) == (1, 1)
    assert len(workspace.log.read_text().splitlines()) == len(workspace.events())
    assert [line["link"] for line in workspace.logged("run_submitted")] == [
        f"https://kf.example/#/runs/details/{run['orchestrator_run']}" for run in status["runs"]
    ]


def test_missing_image_stops_the_start_with_one_sentence(make_workspace: MakeWorkspace, kfp_server: KfpServer) -> None:
    """Without it no step could run; exit code 2."""
    done = on_kubeflow(make_workspace, kfp_server, {}, image="").call("run")
    assert done.returncode == 2
    assert "orchestrator.image is missing" in done.stderr
