"""What `predict` says, and which places it takes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import typer

from tests.builders import a_drop
from trainer_daemon.commands.predict import document, sentences
from trainer_daemon.commands.stored import as_uri
from trainer_daemon.policy.predictions import PredictionJob, Receipt
from trainer_daemon.predicting import Result

JOB = PredictionJob(model="churn", version="3", dataset=a_drop(), code_digest="d", data={})
RESULT = Result(receipt=Receipt(run="churn-predict-1", uri="gs://b/s.parquet", checksum="crc32c:x:1", rows=2000, labelled=500))


def test_answer_ends_with_the_place_alone_on_its_line() -> None:
    """So that a shell can cut it off; and says when nothing was started."""
    assert sentences(RESULT, JOB) == ("2,000 predictions by version 3 of churn, 25.0% labelled as churn:\ngs://b/s.parquet")
    first, *rest = sentences(replace(RESULT, existed=True), JOB).splitlines()
    assert first == "They were made before, by run churn-predict-1; nothing was started."
    assert "\n".join(rest) == sentences(RESULT, JOB)


def test_json_is_a_contract() -> None:
    """Programs read it."""
    assert json.loads(json.dumps(document(replace(RESULT, adopted=True), JOB))) == {
        "predictions": "gs://b/s.parquet",
        "rows": 2000,
        "labelled": 500,
        "model": "churn",
        "version": "3",
        "dataset": a_drop().ref,
        "run": "churn-predict-1",
        "existed": False,
        "adopted": True,
    }


@pytest.mark.parametrize(
    ("word", "uri"),
    [
        ("/data/a b.csv", "file:///data/a%20b.csv"),
        ("/data/scores/", "file:///data/scores/"),
        ("file:///data/a%20b.csv", "file:///data/a%20b.csv"),
        ("gs://bucket/a b#1.csv", "gs://bucket/a b#1.csv"),
        ("data.csv", (Path.cwd() / "data.csv").as_uri()),
    ],
)
def test_places_become_uris(word: str, uri: str) -> None:
    """A path starts at the working directory."""
    assert as_uri(word, "--dataset") == uri


@pytest.mark.parametrize("word", ["s3://bucket/a.csv", "gs://bucket", "gs:///a.csv", "file://host/a.csv", "https://x/y.csv"])
def test_other_places_are_refused(word: str) -> None:
    """With the option and what is possible."""
    with pytest.raises(typer.BadParameter, match="it must be a path, file:///… or gs://bucket/…"):
        as_uri(word, "--dataset")
