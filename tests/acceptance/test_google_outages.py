"""Pub/Sub is away, refuses, or says nothing any more: the process goes on with the listing, and with the stream afterwards."""

import signal
import time

import pytest

from tests.acceptance.conftest import MakeWorkspace
from tests.acceptance.harness import Workspace, pause, wait_until
from tests.emulators.cloud import GoogleCloud
from tests.emulators.fixtures import MakeGoogleCloud

OUTAGE_S = 20.0
ATTEMPTS_MAX = 12
"""Pauses of at least 0.5, 1, 2, 4 and 8 s: the sixth attempt is after 15 s, and the first one may be of several calls."""


@pytest.fixture
def cloud(make_google_cloud: MakeGoogleCloud) -> GoogleCloud:
    """Without faults, until a test causes them."""
    return make_google_cloud()


def started(make_workspace: MakeWorkspace, cloud: GoogleCloud, *, listing_interval_s: float) -> Workspace:
    """A daemon whose stream is open, with a pipeline that does next to nothing."""
    where = {"bucket": f"gs://{cloud.bucket}/in", "subscription": cloud.subscription}
    workspace = make_workspace(**where, listing_interval_s=listing_interval_s, training={"pipeline": "hello"})
    workspace.start()
    wait_until(lambda: workspace.logged("stream_opened"), "the stream opens")
    return workspace


def uploaded(cloud: GoogleCloud, month: int) -> str:
    """Upload a drop; returns how the log names it."""
    name = f"in/churn_data_2025_{month:02}.csv"
    return f"gs://{cloud.bucket}/{name}#{cloud.upload(name, f'a,Churn{chr(10)}{month},1{chr(10)}')}"


def wait_until_decided(workspace: Workspace, drop: str) -> str:
    """Until the drop's run has ended; returns who told of it first."""
    wait_until(lambda: [line for line in workspace.logged("candidate_rejected") if line["drop"] == drop], f"the run for {drop}")
    (recorded,) = (line for line in workspace.logged("event_recorded") if line["drop"] == drop)
    return str(recorded["source"])


def stop(workspace: Workspace) -> None:
    """End the daemon, which has come through everything."""
    daemon = workspace.children[-1]
    assert daemon.poll() is None
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(240) == 0


@pytest.mark.timeout(1800)
def test_drops_are_found_while_the_service_says_nothing_or_is_unavailable(
    make_workspace: MakeWorkspace, cloud: GoogleCloud
) -> None:
    """By the listing; afterwards the stream delivers what waited."""
    workspace = started(make_workspace, cloud, listing_interval_s=2.0)
    require_stream_that_dies_without_a_word_to_be_opened_anew(workspace, cloud)
    require_service_that_is_unavailable_to_be_asked_seldom(workspace, cloud)
    stop(workspace)


def require_service_that_is_unavailable_to_be_asked_seldom(workspace: Workspace, cloud: GoogleCloud) -> None:
    """Attempts are counted by the service itself: pauses grow, nothing spins."""
    opened, began = len(workspace.logged("stream_opened")), time.monotonic()
    cloud.pubsub.refuse("UNAVAILABLE", service="Subscriber")
    assert wait_until_decided(workspace, uploaded(cloud, 2)) == "listing"
    while time.monotonic() - began < OUTAGE_S:
        pause(0.1)
    wait_until(lambda: cloud.pubsub.refused() >= 3, "it is asked again")
    # every eight seconds at most from then on, and a busy machine takes longer to get here
    assert cloud.pubsub.refused() <= ATTEMPTS_MAX + (time.monotonic() - began - OUTAGE_S) / 4
    told = workspace.logged("stream_interrupted")
    assert len(told) <= cloud.pubsub.refused()
    assert [line["failures"] for line in told] == list(range(1, len(told) + 1))
    assert {line["severity"] for line in told} == {"WARNING"}
    cloud.pubsub.end_outages()
    wait_until(lambda: len(workspace.logged("stream_opened")) > opened, "the stream opens again")
    wait_until(lambda: cloud.counts()["backlog"] == 0, "what waited is acknowledged")


def test_subscription_that_is_deleted_meanwhile_is_an_error_and_goes_on_when_it_is_back(
    make_workspace: MakeWorkspace, cloud: GoogleCloud
) -> None:
    """So is a permission that is taken away; both are told as errors, and neither ends the process."""
    workspace = started(make_workspace, cloud, listing_interval_s=3600.0)
    cloud.unsubscribe()
    wait_until(lambda: workspace.logged("stream_refused"), "the deletion is told")
    cloud.subscribe()
    wait_until(lambda: len(workspace.logged("stream_opened")) >= 2, "the stream opens again")
    assert wait_until_decided(workspace, uploaded(cloud, 1)) == "pubsub"
    deleted = len(workspace.logged("stream_refused"))
    cloud.pubsub.refuse("PERMISSION_DENIED", service="Subscriber")
    wait_until(lambda: len(workspace.logged("stream_refused")) > deleted, "the lost permission is told")
    cloud.pubsub.end_outages()
    assert wait_until_decided(workspace, uploaded(cloud, 2)) == "pubsub"
    refused = workspace.logged("stream_refused")
    assert {line["severity"] for line in refused} == {"ERROR"}
    assert "404" in refused[0]["reason"]
    assert "403" in refused[-1]["reason"]
    stop(workspace)


def require_stream_that_dies_without_a_word_to_be_opened_anew(workspace: Workspace, cloud: GoogleCloud) -> None:
    """It stays open and delivers nothing: what the listing finds gives it away, and the next stream delivers."""
    cloud.pubsub.mute_open_streams()
    lost = uploaded(cloud, 1)
    assert wait_until_decided(workspace, lost) == "listing"
    wait_until(lambda: workspace.logged("stream_restarted"), "the stream is suspected")
    assert [line["drop"] for line in workspace.logged("drop_missed_by_notification")] == [lost]
    wait_until(lambda: cloud.counts()["backlog"] == 0, "the new stream delivers what waited")
    assert len(workspace.logged("stream_restarted")) == 1
