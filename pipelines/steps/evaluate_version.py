"""The evidence once more, for a version that exists already: the champion it was compared with is champion no longer."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines import tracking
from pipelines.champion import fetch_model_file
from pipelines.evaluation import Scores
from pipelines.parameters import Drop, RunIdentity, TrainingSettings
from pipelines.progress import timed
from pipelines.steps.evaluate_model import EvaluatedFiles, PinnedChampion, evaluate_model


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedAgainFiles:
    """What the step reads and writes.

    Attributes:
        holdout_rows: Parquet, typed rows to judge by.
        schema: JSON, what their columns are.
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
    """Score the version and the champion as step `evaluate_model` does, and overwrite what it wrote.

    Args:
        identity: Whose run.
        drops: Oldest first.
        settings: What was to be trained; recorded.
        rivals: Whom to compare.
        files: What to read and where to write.

    Returns:
        The version's scores.

    Raises:
        UnusableModel: The version is gone from the registry, or cannot be loaded safely.
    """
    with tempfile.TemporaryDirectory() as folder:
        run = tracking.open_run(identity, drops[-1].period)
        with timed(f"fetching version {rivals.candidate_version}"):
            candidate = fetch_model_file(identity.model, rivals.candidate_version, Path(folder))
            summary = _summary(run, Path(folder))
        given = EvaluatedFiles(
            holdout_rows=files.holdout_rows,
            schema=files.schema,
            candidate=candidate,
            summary=summary,
            evaluation=files.evaluation,
            report=files.report,
        )
        scores = evaluate_model(identity, drops, settings=settings, pinned=rivals.champion, files=given)
    tracking.finish(run)
    return scores


def _summary(run: tracking.TrackedRun, folder: Path) -> Path:
    """How the version came about, out of its first evaluation."""
    document = json.loads(
        Path(run.client.download_artifacts(run.run_id, "evaluation.json", str(folder))).read_text(encoding="utf-8")
    )
    summary = folder / "summary.json"
    summary.write_text(json.dumps(document["training"]), encoding="utf-8")
    return summary
