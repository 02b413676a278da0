"""Step 3: candidate and champion on the same held-out rows; the evidence goes to MLflow."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from pipelines import tracking
from pipelines.champion import HeldOut, score_champion
from pipelines.evaluation import EVALUATION_FORMAT, ChampionScores, Scores, champion_document, model_document, score
from pipelines.evidence.document import Evaluated, evidence_document
from pipelines.evidence.reference import REFERENCE_FILE, reference_document
from pipelines.evidence.slices import SliceSettings
from pipelines.model_files import load_model
from pipelines.parameters import Drop, RunIdentity, TrainingSettings
from pipelines.progress import say, timed
from pipelines.report.contents import Subject
from pipelines.report.rendering import render_report
from pipelines.schema import SCHEMA_FILE, Schema, read_schema


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedFiles:
    """What the step reads and writes.

    Attributes:
        holdout_rows: Parquet, typed rows to judge by.
        schema: JSON, what their columns are.
        candidate: skops.
        summary: JSON, how the candidate came about.
        evaluation: JSON, written; what the daemon decides on.
        report: HTML, written.
    """

    holdout_rows: Path
    schema: Path
    candidate: Path
    summary: Path
    evaluation: Path
    report: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedChampion:
    """The champion that the daemon saw when it launched the run.

    Attributes:
        version: Empty when there was none.
        schema: What it was trained on, if that is known.
    """

    version: str
    schema: Schema | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Evidence:
    """Everything the documents are made of.

    Attributes:
        more: What format 2 of `evaluation.json` has besides the metrics.
        reference: What the candidate's data looked like; None when an earlier evaluation has recorded it.
    """

    identity: RunIdentity
    period: str
    rows: int
    positives: int
    summary: Mapping[str, Any]
    candidate: Scores
    champion: ChampionScores | None
    more: Mapping[str, Any]
    reference: Mapping[str, Any] | None


def evaluate_model(
    identity: RunIdentity, drops: Sequence[Drop], *, settings: TrainingSettings, pinned: PinnedChampion, files: EvaluatedFiles
) -> Scores:
    """Score both models, and write `evaluation.json` and the report here and on the run's MLflow run.

    The first time the MLflow run also gets `schema.json` and `reference.json`, which later months are held against should the
    candidate become champion. They say what it was trained on, so an evaluation of a version that exists leaves them alone.

    Args:
        identity: Whose run.
        drops: Oldest first.
        settings: What was to be trained, and which slices to look at; recorded.
        pinned: The champion to compare with.
        files: What to read and where to write.

    Returns:
        The candidate's scores.
    """
    with timed("opening the MLflow run"):
        run = tracking.open_run(identity, drops[-1].period)
    with timed("scoring"):
        models = _score(identity, pinned=pinned, files=files)
    evidence = _evidence(identity, drops[-1].period, models, settings=settings, summary=files.summary)
    content = _document(evidence)
    document = json.dumps(content, indent=1, allow_nan=False)
    report = render_report(content, Subject(run=identity.run_name))
    files.evaluation.write_text(document, encoding="utf-8")
    files.report.write_text(report, encoding="utf-8")
    with timed("writing the evidence to MLflow"):
        tracking.record_results(
            run,
            params={"estimator": settings.estimator, "seed": settings.seed, **settings.hyperparameters},
            metrics=_flat_metrics(evidence),
            artifacts={
                "evaluation.json": document,
                "report.html": report,
                **_of_training(evidence, files),
            },
        )
    return evidence.candidate


def _score(identity: RunIdentity, *, pinned: PinnedChampion, files: EvaluatedFiles) -> Evaluated:
    schema = read_schema(files.schema)
    rows = pd.read_parquet(files.holdout_rows)
    labels = rows[schema.target].to_numpy().astype("int64")
    candidate = score(load_model(files.candidate), rows[list(schema.features)], labels)
    champion = None
    if pinned.version:
        held_out = HeldOut(rows=rows, labels=labels, schema=schema)
        champion = score_champion(identity.model, pinned.version, held_out=held_out, schema=pinned.schema)
    _say_scores(candidate, champion)
    return Evaluated(rows=rows, schema=schema, labels=labels, candidate=candidate, champion=champion, at=datetime.now(UTC))


def _evidence(identity: RunIdentity, period: str, models: Evaluated, *, settings: TrainingSettings, summary: Path) -> _Evidence:
    slicing = SliceSettings(columns=settings.slice_columns, min_rows=settings.min_slice_rows)
    trained = json.loads(summary.read_text(encoding="utf-8"))
    columns = trained.pop("columns", None)
    return _Evidence(
        identity=identity,
        period=period,
        rows=len(models.rows),
        positives=int(models.labels.sum()),
        summary=trained,
        candidate=models.candidate,
        champion=models.champion,
        more=evidence_document(models, seed=settings.seed, settings=slicing),
        reference=reference_document(columns, models.candidate.probabilities) if columns is not None else None,
    )


def _of_training(evidence: _Evidence, files: EvaluatedFiles) -> dict[str, str]:
    if evidence.reference is None:
        return {}
    return {SCHEMA_FILE: files.schema.read_text(encoding="utf-8"), REFERENCE_FILE: json.dumps(evidence.reference)}


def _say_scores(candidate: Scores, champion: ChampionScores | None) -> None:
    other = champion.scores if champion else None
    for name in ("log_loss", "roc_auc"):
        against = f", champion version {champion.version} {_shown(other.metrics[name])}" if champion and other else ""
        say(f"{name}: candidate {_shown(candidate.metrics[name])}{against}")


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"


def _document(evidence: _Evidence) -> dict[str, Any]:
    return {
        "format": EVALUATION_FORMAT,
        "run_key": evidence.identity.run_key,
        "attempt": evidence.identity.attempt,
        "model": evidence.identity.model,
        "period": evidence.period,
        "holdout": {"rows": evidence.rows, "positives": evidence.positives},
        "training": dict(evidence.summary),
        "candidate": model_document(evidence.candidate),
        "champion": champion_document(evidence.champion),
        **evidence.more,
    }


def _flat_metrics(evidence: _Evidence) -> dict[str, float | None]:
    """Metrics by the names MLflow shows: the candidate's own, the champion's with a prefix."""
    other = evidence.champion.scores if evidence.champion else None
    champion = {f"champion_{name}": value for name, value in other.metrics.items()} if other else {}
    return {
        **evidence.candidate.metrics,
        **champion,
        "holdout_rows": float(evidence.rows),
        "training_rows": float(evidence.summary["rows"]),
    }
