"""Batch predictions: the identity of a job, the names of its runs, where its result goes, and what is to be done next. Pure."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import assert_never

from trainer_daemon.policy.events import DatasetVersion, parse_period
from trainer_daemon.policy.observations import Failure, Observation, Phase
from trainer_daemon.policy.runs import run_name

SUFFIXES = (".parquet", ".csv")
_DATA_SUFFIX = re.compile(r"(?:\.tar\.gz|\.tgz|\.csv\.gz|\.csv|\.gz)$")
_DIGITS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionJob:
    """Everything the content of the predictions depends on.

    Attributes:
        version: Of the model; pinned, so that a champion that moves meanwhile changes nothing.
        code_digest: Identifies the code of the pipelines.
        data: How the data is read and whose rows they are; JSON values.
    """

    model: str
    version: str
    dataset: DatasetVersion
    code_digest: str
    data: Mapping[str, object]

    @property
    def content(self) -> str:
        """64 hexadecimal digits; the bytes of the data count, not where they lie."""
        parts = [self.model, self.version, self.dataset.checksum, self.code_digest, self.data]
        return _digest(parts)

    @property
    def file_name(self) -> str:
        """What the predictions are called when nobody says otherwise."""
        stem = _DATA_SUFFIX.sub("", self.dataset.uri.rpartition("/")[2])
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.")[:80] or "data"
        return f"{plain}-v{self.version}-{self.content[:_DIGITS]}.parquet"

    def key(self, out: str) -> str:
        """The run key: what is predicted, and where the predictions go."""
        return _digest([self.content, out])

    def run_name(self, out: str, attempt: int) -> str:
        """The deterministic name of one attempt on the orchestrator, where it is found again."""
        return run_name(self.model, "predict", self.key(out), attempt)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a run said of the predictions it wrote.

    Attributes:
        run: Name of the run.
        checksum: Of the file's bytes.
        labelled: Rows that are labelled as churn.
    """

    run: str
    uri: str
    checksum: str
    rows: int
    labelled: int


class Move(Enum):
    """What to do about one attempt of a job."""

    BEGIN = auto()
    FOLLOW = auto()
    GIVE_UP = auto()
    TRY_NEXT = auto()


def next_move(attempt: int, seen: Observation, failure: Failure | None) -> Move:
    """Decide about an attempt; only asked while the predictions are not there, or are no longer what they were.

    Args:
        attempt: Counts from 1.
        seen: Its run.
        failure: What the job's last failing attempt said.
    """
    match seen.phase:
        case Phase.VANISHED:  # never begun, or killed: the name is free
            return Move.BEGIN
        case Phase.PENDING | Phase.RUNNING | Phase.UNKNOWN:
            return Move.FOLLOW
        case Phase.FAILED if failure is not None and failure.attempt == attempt and failure.kind == "bad_drop":
            return Move.GIVE_UP  # the same bytes would be refused again
        case Phase.FAILED | Phase.SUCCEEDED | Phase.CANCELED:
            return Move.TRY_NEXT
        case _:
            assert_never(seen.phase)


def experiment_of(model: str) -> str:
    """The MLflow experiment of a model's predictions: a place of their own, beside the training runs."""
    return f"{model}-predictions"


def destination(out: str, job: PredictionJob) -> str:
    """The URI of the file of predictions.

    Args:
        out: A file that ends in `.parquet` or `.csv`, or a folder, as `file:///…` or `gs://…`.
        job: Names the file in a folder.
    """
    return out if out.endswith(SUFFIXES) else f"{out.rstrip('/')}/{job.file_name}"


def clash(out: str, dataset: str, buckets: Mapping[str, tuple[str, str]]) -> str:
    """Why predictions must not be written somewhere; empty when they may.

    Args:
        out: URI of the file.
        dataset: URI of what is predicted.
        buckets: By model, the URI of its bucket and the template of its drops.
    """
    if out == dataset:
        return "it is the data itself"
    folder, _, name = out.rpartition("/")
    for model, (bucket, template) in buckets.items():
        if folder == bucket.rstrip("/") and parse_period(name, template) is not None:
            return f"model {model} would take it for a drop"
    return ""


def _digest(parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
