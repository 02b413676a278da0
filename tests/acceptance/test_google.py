"""The real process on a bucket of Cloud Storage that notifies by Pub/Sub; the main job there, `test_kubeflow` shows."""

import subprocess
import sys
from typing import Any

import pytest

from tests.acceptance.conftest import MakeWorkspace
from tests.acceptance.harness import Workspace, wait_until
from tests.emulators.cloud import GoogleCloud
from tests.emulators.fixtures import MakeGoogleCloud
from trainer_daemon.demo_data import monthly_drop

MARCH = "in/churn_data_2025_03.csv"


def keys_on(cloud: GoogleCloud) -> dict[str, Any]:
    """Keys of a model whose bucket is the cloud's."""
    return {"bucket": f"gs://{cloud.bucket}/in", "subscription": cloud.subscription, "listing_interval_s": 3600.0}


def on_google(make_workspace: MakeWorkspace, cloud: GoogleCloud, **model: object) -> Workspace:
    """A workspace whose bucket is the cloud's, and whose pipeline does next to nothing."""
    return make_workspace(**{**keys_on(cloud), "training": {"pipeline": "hello"}, **model})


def upload_march(cloud: GoogleCloud, *, seed: int) -> int:
    """The drop; returns its generation."""
    return cloud.upload(MARCH, monthly_drop(drift=0.0, seed=seed))


@pytest.mark.timeout(1800)
def test_drop_whose_notification_is_lost_is_found_by_the_listing(
    make_workspace: MakeWorkspace, make_google_cloud: MakeGoogleCloud
) -> None:
    """It is said, and the stream, which may be dead, is opened anew."""
    cloud = make_google_cloud(drop=1.0)
    workspace = on_google(make_workspace, cloud, listing_interval_s=1.0)
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
