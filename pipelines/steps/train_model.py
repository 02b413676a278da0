"""Step 2: training rows to a model, and the summary of how it came about."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipelines.cleaning import row_hashes
from pipelines.evidence.reference import columns_document
from pipelines.model import Trained, TrainingRows, train
from pipelines.model_files import save_model
from pipelines.parameters import TrainingSettings
from pipelines.schema import Schema, read_schema


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedFiles:
    """What the step reads and writes.

    Attributes:
        training_rows: Parquet, typed rows to train on.
        schema: JSON, what their columns are.
        candidate: skops, written.
        summary: JSON, written.
    """

    training_rows: Path
    schema: Path
    candidate: Path
    summary: Path


def train_model(settings: TrainingSettings, files: TrainedFiles) -> Mapping[str, float]:
    """Fit the configured estimator.

    Args:
        settings: What is to be trained.
        files: What to read and where to write.

    Returns:
        Cross-validated log loss per candidate estimator; empty when the estimator was named.
    """
    schema = read_schema(files.schema)
    rows = pd.read_parquet(files.training_rows)
    labels = rows[schema.target].to_numpy()
    trained = train(TrainingRows(features=rows, labels=labels, units=row_hashes(rows, schema), schema=schema), settings)
    save_model(trained.model, files.candidate)
    files.summary.write_text(json.dumps(_summary(trained, rows, schema)), encoding="utf-8")
    return trained.cross_validation


def _summary(trained: Trained, rows: pd.DataFrame, schema: Schema) -> dict[str, Any]:
    return {
        "rows": len(rows),
        "positives": int(rows[schema.target].sum()),
        "estimator": trained.estimator,
        "features": list(schema.features),
        "dropped": schema.dropped,
        "cross_validation": {"metric": "log_loss", **trained.cross_validation} if trained.cross_validation else {},
        "columns": columns_document(rows, schema),
    }
