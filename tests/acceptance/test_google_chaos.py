"""The proof for the way in from Google Cloud: 200 uploads while everything fails that can, with the real process."""

import json

import pytest

from tests.acceptance.chaos import LISTING_S, Chaos
from tests.acceptance.conftest import MakeWorkspace
from tests.acceptance.harness import Workspace
from tests.acceptance.uploads import random_uploads
from tests.emulators.cloud import GoogleCloud
from tests.emulators.fixtures import MakeGoogleCloud

FOLDERS = ("in", "more")
DROPS, CORRECTED, REPEATED = 100, 32, 68
SEED = 20


def two_models(make_workspace: MakeWorkspace, cloud: GoogleCloud) -> Workspace:
    """A daemon with a model per folder, both told by the same subscription, whose pipeline does next to nothing."""
    keys = {"subscription": cloud.subscription, "listing_interval_s": LISTING_S}
    first, second = ({**keys, "bucket": f"gs://{cloud.bucket}/{folder}"} for folder in FOLDERS)
    workspace = make_workspace(top="max_parallel_runs = 2", training={"pipeline": "hello"}, **first)
    lines = [f"{key} = {json.dumps(value)}" for key, value in {"name": "other", **second}.items()]
    with workspace.config.open("a") as config:
        config.write("\n".join(["[[models]]", *lines, "[models.training]", 'pipeline = "hello"', ""]))
    return workspace


@pytest.mark.timeout(1800)
def test_every_drop_has_exactly_one_run_whatever_goes_wrong(
    make_workspace: MakeWorkspace, make_google_cloud: MakeGoogleCloud
) -> None:
    """Duplicated, lost and expired deliveries, two kills of the daemon, one of each service; nothing is acked unrecorded."""
    cloud = make_google_cloud(duplicate=0.3, drop=0.05, expire=0.1, seed=SEED)
    cloud.retain_acked()
    chaos = Chaos(two_models(make_workspace, cloud), cloud)
    uploads = random_uploads(FOLDERS, drops=DROPS, corrected=CORRECTED, repeated=REPEATED, seed=SEED)
    chaos.start()
    chaos.upload(uploads[:36])
    chaos.upload_and_kill_before_anything_is_recorded(uploads[36:52])
    chaos.start()
    chaos.upload(uploads[52:80])
    chaos.wait_until_decided(10)
    chaos.upload_while_pubsub_is_away(uploads[80:104])
    chaos.upload(uploads[104:120])
    chaos.wait_until_decided(24)
    chaos.upload_while_storage_is_away(uploads[120:144])
    chaos.wait_until_decided(40)
    chaos.upload(uploads[144:160])
    chaos.kill_daemon()
    chaos.start()
    chaos.upload(uploads[160:])
    older = chaos.tell_of_older_generations(12)
    chaos.settle()
    assert set(chaos.outcomes(older)) <= {"superseded", ""}, "an older generation changed something"
    assert chaos.outcomes(older).count("superseded") > 6
    assert chaos.problems() == []
    print(chaos.figures())  # noqa: T201 - shown by pytest -rP
