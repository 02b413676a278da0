"""The evidence once more, for a version that exists already: the champion it was compared with is champion no longer."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipelines import tracking
from pipelines.champion import fetch_model_file
from pipelines.cleaning import HOLDOUT_ROWS_MIN, unseen
from pipelines.errors import UnusableModel
from pipelines.evaluation import Scores
from pipelines.parameters import Drop, RunIdentity, TrainingSettings
from pipelines.progress import say, timed
from pipelines.schema import SCHEMA_FILE, Schema, read_schema, understood_otherwise, units_differ
from pipelines.steps.evaluate_model import EvaluatedFiles, PinnedChampion, evaluate_model


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedAgainFiles:
    """What the step reads and writes.

    Attributes:
        holdout_rows: Parquet, typed rows that the configuration of now holds out.
        schema: JSON, what their columns are, and by what and how many of them are held out now.
        evaluation: JSON, written; what the daemon decides on.
        report: HTML, written.
    """

    holdout_rows: Path
    schema: Path
    evaluation: Path
    report: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Rivals:
    """Who is compared with whom: the version of this run, and the champion of now."""

    candidate_version: str
    champion: PinnedChampion


def evaluate_version(
    identity: RunIdentity, drops: Sequence[Drop], *, settings: TrainingSettings, rivals: Rivals, files: EvaluatedAgainFiles
) -> Scores:
    """Score the version and the champion as step `evaluate_model` does, and overwrite what it wrote of the comparison.

    The configuration may have changed since the version was trained, so of the rows that are held out now only those are looked
    at that neither of the two was trained on.

    Args:
        identity: Whose run.
        drops: Oldest first.
        settings: What was to be trained; recorded.
        rivals: Whom to compare.
        files: What to read and where to write.

    Returns:
        The version's scores.

    Raises:
        UnusableModel: The version is gone from the registry, cannot be loaded safely, or may have been trained on the rows.
    """
    with tempfile.TemporaryDirectory() as folder:
        run = tracking.open_run(identity, drops[-1].period)
        with timed(f"fetching version {rivals.candidate_version}"):
            candidate = fetch_model_file(identity.model, rivals.candidate_version, Path(folder))
            schema, summary = _schema(run, rivals, Path(folder)), _summary(run, Path(folder))
        given = EvaluatedFiles(
            holdout_rows=_unseen_rows(files, read_schema(schema), rivals, Path(folder)),
            schema=schema,
            candidate=candidate,
            summary=summary,
            evaluation=files.evaluation,
            report=files.report,
        )
        scores = evaluate_model(identity, drops, settings=settings, pinned=rivals.champion, files=given)
    tracking.finish(run)
    return scores


def _schema(run: tracking.TrackedRun, rivals: Rivals, folder: Path) -> Path:
    """What the version was trained on, as its first evaluation wrote it."""
    if all(item.path != SCHEMA_FILE for item in run.client.list_artifacts(run.run_id)):
        reason = f"its MLflow run has no {SCHEMA_FILE}, which says what it was trained on; restore the file, or train anew"
        raise _refusal(rivals, reason)
    return Path(run.client.download_artifacts(run.run_id, SCHEMA_FILE, str(folder)))


def _unseen_rows(files: EvaluatedAgainFiles, candidate: Schema, rivals: Rivals, folder: Path) -> Path:
    """The rows that neither model was trained on."""
    own = read_schema(files.schema)
    if problem := units_differ(candidate, own) or understood_otherwise(candidate, own):
        raise _refusal(rivals, problem)
    rows = pd.read_parquet(files.holdout_rows)
    kept = rows[unseen(rows, own, candidate, rivals.champion.schema)]
    if len(kept) < HOLDOUT_ROWS_MIN:
        reason = (
            f"of {len(rows):,} rows held out only {len(kept)} are new to it and to the champion, at least {HOLDOUT_ROWS_MIN} "
            "must be; promote a version with --force to begin anew"
        )
        raise _refusal(rivals, reason)
    say(f"{len(kept):,} of {len(rows):,} rows held out are judged by: neither model was trained on them")
    kept.to_parquet(folder / "unseen.parquet", index=False)
    return folder / "unseen.parquet"


def _refusal(rivals: Rivals, reason: str) -> UnusableModel:
    return UnusableModel(f"version {rivals.candidate_version} cannot be evaluated again: {reason}")


def _summary(run: tracking.TrackedRun, folder: Path) -> Path:
    """How the version came about, out of its first evaluation."""
    document = json.loads(
        Path(run.client.download_artifacts(run.run_id, "evaluation.json", str(folder))).read_text(encoding="utf-8")
    )
    summary = folder / "summary.json"
    summary.write_text(json.dumps(document["training"]), encoding="utf-8")
    return summary
