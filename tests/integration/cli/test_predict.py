"""`predict` before anything is launched: what it refuses, and on which grounds."""

import hashlib
from pathlib import Path
from uuid import uuid4

import pytest
from google.cloud import storage

from tests.integration.cli.conftest import Call
from trainer_daemon.commands.run_progress import last_words
from trainer_daemon.commands.stored import checksum_of, find

CONTENT = b"x\n1\n"
LOG = """run churn-predict-1 of pipeline inference
12:00:00.000 - INFO - Streamed logs:
    [KFP Executor 2026-11-21 12:00:00 INFO]: Got executor_input:
    {
        "inputs": {}
    }
    predict of churn-predict-1, attempt 1
    500,000 rows predicted
    1,000,000 rows pre"""


@pytest.mark.usefixtures("folder")
def test_data_that_is_not_there_is_told_of_at_once(call: Call) -> None:
    """Before anything slow is asked."""
    answer = call("predict", "--dataset", "nothing.csv")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("error: there is nothing at file:///")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("options", [("--dataset", "s3://b/a.csv"), ("--dataset", "a.csv", "--out", "https://x/y"), ()])
def test_places_that_cannot_be_used_are_wrong_usage(call: Call, options: tuple[str, ...]) -> None:
    """Exit code 2, and the option is named."""
    answer = call("predict", *options)
    assert (answer.code, answer.out) == (2, "")
    assert (options[-2] if options else "--dataset") in answer.err


def test_steps_that_run_elsewhere_need_a_place_to_write_to(call: Call, folder: Path) -> None:
    """They could not write into this machine's workspace."""
    config = folder / "trainer.toml"
    config.write_text(config.read_text() + '[orchestrator]\nkind = "kubeflow"\nimage = "registry.example/trainer:1"\n')
    answer = call("predict", "--dataset", "a.csv")
    assert answer.code == 2
    assert "--out: is needed: the steps run elsewhere" in answer.err


def test_without_a_champion_a_version_has_to_be_named(call: Call, folder: Path) -> None:
    """And a version that does not exist is no champion either."""
    (folder / "a.csv").write_text("x\n1\n")
    answer = call("predict", "--dataset", "a.csv")
    assert (answer.code, "model churn has no champion yet: train one, or name a version with --version" in answer.err) == (
        1,
        True,
    )
    answer = call("predict", "--dataset", "a.csv", "--version", "9")
    assert (answer.code, "model churn has no version 9" in answer.err) == (1, True)
    assert not (folder / "var" / "runs").exists()


def test_file_is_known_by_its_bytes(tmp_path: Path) -> None:
    """Whatever its name; nothing is no error."""
    path = tmp_path / "a b.csv"
    path.write_bytes(CONTENT)
    found = find(path.as_uri())
    assert found
    assert (found.uri, found.checksum) == (path.as_uri(), f"sha256:{hashlib.sha256(CONTENT).hexdigest()}")
    assert checksum_of((tmp_path / "gone").as_uri()) is None


def test_object_is_known_by_its_generation(storage_client: storage.Client) -> None:
    """The current one, or the one that is named."""
    bucket = storage_client.create_bucket(f"crm-{uuid4().hex}")
    blob = bucket.blob("in/a b.csv")
    blob.upload_from_string(CONTENT)
    uri = f"gs://{bucket.name}/in/a b.csv"
    found = find(uri)
    assert found
    assert (found.uri, found.generation, found.checksum) == (uri, str(blob.generation), f"crc32c:{blob.crc32c}:4")
    assert find(f"{uri}#{blob.generation}") == found
    assert find(f"gs://{bucket.name}/gone") is None


def test_progress_shows_the_last_whole_sentence_of_the_step(tmp_path: Path) -> None:
    """Neither what kfp prints nor half a line; nothing before there is a log."""
    log = tmp_path / "log.txt"
    assert last_words(log) == ""
    log.write_text(LOG)
    assert last_words(log) == "500,000 rows predicted"
