"""Prediction jobs: their identity, where they write, and what is done next."""

import re
from dataclasses import replace

import pytest

from tests.builders import a_drop
from trainer_daemon.policy.observations import Failure, Observation, Phase
from trainer_daemon.policy.predictions import Move, PredictionJob, clash, destination, experiment_of, next_move

OUT = "file:///out/scores.parquet"
BAD = Failure(attempt=2, step="predict", kind="bad_drop", reason="no column")
JOB = PredictionJob(model="churn", version="3", dataset=a_drop(), code_digest="d", data={"entity_column": "id"})
BUCKETS = {"churn": ("gs://drops/in", "churn_data_{period}.csv"), "local": ("file:///data", "local_{period}.csv")}


def test_same_bytes_elsewhere_are_the_same_job() -> None:
    """The content counts: neither the place nor the generation of the data."""
    moved = replace(JOB, dataset=a_drop(uri="gs://elsewhere/data.csv", generation="9"))
    assert moved.key(OUT) == JOB.key(OUT)


@pytest.mark.parametrize(
    "other",
    [
        replace(JOB, model="other"),
        replace(JOB, version="4"),
        replace(JOB, dataset=a_drop(content="b")),
        replace(JOB, code_digest="e"),
        replace(JOB, data={"entity_column": "customer"}),
    ],
    ids=["model", "version", "bytes", "code", "ids"],
)
def test_whatever_changes_the_predictions_is_another_job(other: PredictionJob) -> None:
    """Another key, another run, and another file where the name is ours to choose."""
    assert other.key(OUT) != JOB.key(OUT)
    assert other.file_name != JOB.file_name
    assert other.run_name(OUT, 1) != JOB.run_name(OUT, 1)


def test_another_place_is_another_job() -> None:
    """A file that was written elsewhere does not help whoever asks for this one."""
    assert JOB.key("file:///out/other.csv") != JOB.key(OUT)


def test_attempts_have_names_that_every_orchestrator_takes() -> None:
    """Deterministic, distinct, and of small letters, digits and hyphens."""
    names = [JOB.run_name(OUT, attempt) for attempt in (1, 2)]
    assert names == [f"churn-predict-{JOB.key(OUT)[:12]}-{attempt}" for attempt in (1, 2)]
    assert all(re.fullmatch("[a-z0-9-]+", name) for name in names)


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a b.csv", "a-b"),
        ("x.csv.gz", "x"),
        ("x.tar.gz", "x"),
        ("x.2025.csv", "x.2025"),
        (".csv", "data"),
        ("%C3%BC.csv", "C3-BC"),
    ],
)
def test_file_is_named_after_the_data(name: str, stem: str) -> None:
    """With the version and what tells it from others; no surprises for a shell."""
    job = replace(JOB, dataset=a_drop(uri=f"gs://b/{name}"))
    assert job.file_name == f"{stem}-v3-{job.content[:8]}.parquet"


def test_folder_gets_a_file_and_a_file_is_taken_as_it_is() -> None:
    """By its suffix."""
    assert destination("gs://b/scores/", JOB) == f"gs://b/scores/{JOB.file_name}"
    assert destination("gs://b/scores.csv", JOB) == "gs://b/scores.csv"


@pytest.mark.parametrize(
    ("out", "why"),
    [
        ("gs://drops/in/churn_data_2025_03.csv", "model churn would take it for a drop"),
        ("file:///data/local_2025-03.csv", "model local would take it for a drop"),
        ("file:///crm/customers.csv", "it is the data itself"),
        ("gs://drops/in/scores_2025_03.csv", ""),
        ("gs://drops/in/deep/churn_data_2025_03.csv", ""),
        ("gs://drops/in/churn_data_2025_03.parquet", ""),
    ],
)
def test_predictions_never_become_a_drop_nor_replace_their_data(out: str, why: str) -> None:
    """A model would be trained on its own answers."""
    assert clash(out, "file:///crm/customers.csv", BUCKETS) == why


@pytest.mark.parametrize(
    ("phase", "failure", "move"),
    [
        (Phase.VANISHED, None, Move.BEGIN),
        (Phase.PENDING, None, Move.FOLLOW),
        (Phase.RUNNING, None, Move.FOLLOW),
        (Phase.UNKNOWN, None, Move.FOLLOW),
        (Phase.SUCCEEDED, None, Move.TRY_NEXT),
        (Phase.CANCELED, None, Move.TRY_NEXT),
        (Phase.FAILED, None, Move.TRY_NEXT),
        (Phase.FAILED, BAD, Move.GIVE_UP),
        (Phase.FAILED, replace(BAD, kind="error"), Move.TRY_NEXT),
        (Phase.FAILED, replace(BAD, attempt=1), Move.TRY_NEXT),
        (Phase.VANISHED, BAD, Move.BEGIN),
    ],
)
def test_every_state_of_an_attempt_has_its_move(phase: Phase, failure: Failure | None, move: Move) -> None:
    """A free name is begun, a living run followed, refused data given up, and the rest tried under the next number."""
    assert next_move(2, Observation(name="n", phase=phase), failure) is move


def test_predictions_have_an_experiment_of_their_own() -> None:
    """So that they are not taken for training runs."""
    assert experiment_of("churn") != "churn"
