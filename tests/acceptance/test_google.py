"""The main job with the real process, on a bucket of Cloud Storage that notifies by Pub/Sub."""

import signal
import subprocess
import sys

import pytest

from tests.acceptance.conftest import MakeWorkspace
from tests.acceptance.harness import Workspace, wait_until
from tests.acceptance.registry_view import look
from tests.emulators.cloud import GoogleCloud
from tests.emulators.fixtures import MakeGoogleCloud
from trainer_daemon.demo_data import monthly_drop

MARCH = "in/churn_data_2025_03.csv"


def on_google(make_workspace: MakeWorkspace, cloud: GoogleCloud, **model: object) -> Workspace:
    """A workspace whose bucket is the cloud's, with a fast model."""
    keys = {"bucket": f"gs://{cloud.bucket}/in", "subscription": cloud.subscription, "listing_interval_s": 3600.0}
    return make_workspace(**{**keys, "training": {"estimator": "logistic_regression"}, **model})


def upload_march(cloud: GoogleCloud, *, seed: int) -> int:
    """The drop; returns its generation."""
    return cloud.upload(MARCH, monthly_drop(drift=0.0, seed=seed))


@pytest.mark.timeout(1800)
def test_upload_becomes_exactly_one_run_and_a_champion(make_workspace: MakeWorkspace, google_cloud: GoogleCloud) -> None:
    """By notifications alone; a corrected upload supersedes the run under way, the same bytes again start nothing."""
    workspace = on_google(make_workspace, google_cloud)
    daemon = workspace.start()
    wait_until(lambda: workspace.logged("stream_opened"), "the stream opens")
    older = upload_march(google_cloud, seed=1)
    google_cloud.upload("in/notes.txt", "no drop")
    google_cloud.upload("elsewhere/churn_data_2025_03.csv", "foreign")
    wait_until(lambda: workspace.logged("run_submitted"), "the first run is submitted")
    newer = upload_march(google_cloud, seed=2)
    wait_until(lambda: workspace.logged("candidate_promoted"), "the corrected drop is promoted")
    upload_march(google_cloud, seed=2)
    wait_until(lambda: workspace.logged("event_duplicated"), "the same bytes are known")
    wait_until(lambda: google_cloud.counts()["backlog"] == 0, "everything is acknowledged")
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(240) == 0

    drops = [f"gs://{google_cloud.bucket}/{MARCH}#{generation}" for generation in (older, newer)]
    assert [(run["state"], run["drops"]) for run in workspace.status()["runs"]] == [
        ("SUPERSEDED", drops[:1]),
        ("PROMOTED", drops[1:]),
    ]
    assert [line["drop"] for line in workspace.logged("run_submitted")] == drops
    assert {event["source"] for event in workspace.logged("event_recorded")} == {"pubsub"}
    (rejected,) = workspace.logged("event_rejected")
    assert "lies outside of" in rejected["reason"]
    registry = look(workspace.root)
    assert (registry.aliases["champion"], len(registry.versions)) == ("1", 1)


@pytest.mark.timeout(1800)
def test_drop_whose_notification_is_lost_is_found_by_the_listing(
    make_workspace: MakeWorkspace, make_google_cloud: MakeGoogleCloud
) -> None:
    """It is said, and the stream, which may be dead, is opened anew."""
    cloud = make_google_cloud(drop=1.0)
    workspace = on_google(make_workspace, cloud, listing_interval_s=1.0, training={"pipeline": "hello"})
    daemon = workspace.start()
    wait_until(lambda: workspace.logged("stream_opened"), "the stream opens")
    generation = upload_march(cloud, seed=1)
    (recorded,) = wait_until(lambda: workspace.logged("event_recorded"), "the listing finds it")
    assert recorded["source"] == "listing"
    (missed,) = wait_until(lambda: workspace.logged("drop_missed_by_notification"), "its notification is overdue")
    assert missed["drop"] == f"gs://{cloud.bucket}/{MARCH}#{generation}"
    wait_until(lambda: len(workspace.logged("stream_opened")) >= 2, "the stream is opened anew")
    assert len(workspace.logged("stream_restarted")) == 1
    wait_until(lambda: workspace.logged("candidate_rejected"), "it is run all the same")
    daemon.terminate()
    assert daemon.wait(240) == 0


def test_missing_subscription_stops_the_start_with_the_command_that_makes_it(
    make_workspace: MakeWorkspace, google_cloud: GoogleCloud
) -> None:
    """As any other wrong key: exit code 2, one sentence."""
    workspace = on_google(make_workspace, google_cloud, subscription="projects/demo/subscriptions/nowhere")
    done = workspace.call("run")
    assert done.returncode == 2
    assert 'models[churn].subscription is "projects/demo/subscriptions/nowhere", but there is none; create it:' in done.stderr
    assert "gcloud pubsub subscriptions create nowhere --project=demo" in done.stderr


def test_emulator_stops_the_start_in_production(make_workspace: MakeWorkspace, google_cloud: GoogleCloud) -> None:
    """Before anything is connected to."""
    workspace = on_google(make_workspace, google_cloud, top='environment = "production"')
    done = workspace.call("run")
    assert done.returncode == 2
    assert "STORAGE_EMULATOR_HOST is set" in done.stderr
    assert "PUBSUB_EMULATOR_HOST is set" in done.stderr


@pytest.mark.parametrize("module", ["trainer_daemon.bootstrap", "pipelines.opening"])
def test_laptop_without_google_does_not_pay_for_its_libraries(module: str) -> None:
    """Neither in memory nor in time to start."""
    libraries = ("google.cloud.", "google.api", "google.auth", "grpc")
    code = f"import {module}, sys; print(sorted(name for name in sys.modules if name.startswith({libraries})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240)
    assert done.stdout.strip() == "[]"
