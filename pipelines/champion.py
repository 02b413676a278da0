"""Registered versions, fetched from the registry and a champion scored on the rows that the candidate is scored on."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from pipelines.errors import UnusableModel
from pipelines.evaluation import ChampionScores, Scores, as_known_to, score
from pipelines.evidence.drift import Drift, drift
from pipelines.evidence.reference import REFERENCE_FILE, Reference, parse_reference
from pipelines.model_files import load_model
from pipelines.progress import say
from pipelines.schema import Schema, units_differ
from pipelines.trusted import MODEL_FILE

if TYPE_CHECKING:
    import numpy as np
    from sklearn.pipeline import Pipeline

_GONE = frozenset({"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"})


def fetch_champion(model: str, version: str) -> "Pipeline":
    """Load a registered version with our own list of trusted types, whatever its files say may be trusted.

    Raises:
        UnusableModel: It is gone, was not saved with skops, or holds something that is not trusted. A registry that is
            merely unavailable raises its own error, which is worth another attempt.
    """
    with tempfile.TemporaryDirectory() as folder:
        return load_model(fetch_model_file(model, version, Path(folder)))


def fetch_model_file(model: str, version: str, folder: Path) -> Path:
    """Download the skops file of a registered version.

    Raises:
        UnusableModel: It is gone, or was not saved with skops.
    """
    files = _download(f"models:/{model}/{version}", folder)
    path = files / MODEL_FILE
    if not path.is_file():
        present = ", ".join(sorted(item.name for item in files.iterdir()))
        msg = f"it has no {MODEL_FILE}, only {present}: other formats, as pickle, are refused because loading them can run code"
        raise UnusableModel(msg)
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """What a champion is judged by.

    Attributes:
        rows: Typed held-out rows with all columns of the drop.
        labels: 0/1, `(rows,)`.
        schema: What the columns are.
    """

    rows: pd.DataFrame
    labels: "np.ndarray"
    schema: Schema


def score_champion(model: str, version: str, *, held_out: HeldOut, schema: Schema | None) -> ChampionScores:
    """Score a version with its own preprocessing; a version that cannot be scored, or not fairly, says why.

    Args:
        model: Name of the registered model.
        version: The version that was pinned when the run was launched.
        held_out: The rows, as the run understands them.
        schema: What the columns were when it was trained, if that is known.
    """
    try:
        _require_unseen(held_out.schema, schema)
        champion = fetch_champion(model, version)
        known, missing = as_known_to(champion, held_out.rows, schema)
        scores = score(champion, known, held_out.labels)
    except (UnusableModel, ValueError, TypeError, KeyError, AttributeError) as exc:
        reason = str(exc) if isinstance(exc, UnusableModel) else f"{type(exc).__name__}: {exc}"
        say(f"champion version {version} cannot be scored: {reason}")
        return ChampionScores(version=version, error=reason)
    if missing:
        say(f"champion version {version} is scored without {', '.join(missing)}, which the drop lacks")
    drifted = _drift(model, version, known, scores)
    return ChampionScores(version=version, scores=scores, missing_columns=missing, drift=drifted)


def fetch_reference(model: str, version: str) -> Reference:
    """What the data of a registered version looked like, from the run that made it.

    Raises:
        ValueError: The version has no run, the run no reference, or it cannot be read; the sentence says which.
    """
    from mlflow.artifacts import download_artifacts
    from mlflow.tracking import MlflowClient

    run_id = MlflowClient().get_model_version(model, version).run_id
    if not run_id or all(item.path != REFERENCE_FILE for item in MlflowClient().list_artifacts(run_id)):
        msg = f"version {version} was registered without {REFERENCE_FILE}"
        raise ValueError(msg)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(download_artifacts(run_id=run_id, artifact_path=REFERENCE_FILE, dst_path=folder))
        return parse_reference(path.read_text(encoding="utf-8"))


def _require_unseen(own: Schema, champion: Schema | None) -> None:
    """Refuse a comparison by customers that the champion may have been trained on."""
    problem = units_differ(champion, own) if champion else ""
    if problem:
        raise UnusableModel(problem)


def _drift(model: str, version: str, rows: pd.DataFrame, scores: Scores) -> Drift:
    try:
        return drift(fetch_reference(model, version), rows, scores.probabilities)
    except ValueError as exc:
        say(f"drift cannot be measured: {exc}")
        return Drift(error=str(exc))


def _download(uri: str, folder: Path) -> Path:
    import mlflow.artifacts
    from mlflow.exceptions import MlflowException

    try:
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder)))
    except MlflowException as exc:
        if exc.error_code not in _GONE:
            raise
        msg = f"it is gone: {exc.message}"
        raise UnusableModel(msg) from exc
    except FileNotFoundError as exc:
        msg = f"its files are gone: {exc}"
        raise UnusableModel(msg) from exc
