"""Step 2: training rows to a model, and the summary of how it came about."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.cleaning import row_hashes
from pipelines.evidence.reference import columns_document
from pipelines.model import Trained, TrainingRows, cell_type, train
from pipelines.model_files import save_model
from pipelines.parameters import TrainingSettings
from pipelines.schema import Kind, Schema, read_schema


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
    rows = _read(files.training_rows, schema)
    labels = rows[schema.target].to_numpy()
    trained = train(TrainingRows(features=rows, labels=labels, units=row_hashes(rows, schema), schema=schema), settings)
    save_model(trained.model, files.candidate)
    files.summary.write_text(json.dumps(_summary(trained, rows, schema)), encoding="utf-8")
    return trained.cross_validation


def _read(path: Path, schema: Schema) -> pd.DataFrame:
    """The rows, with the numbers among the features as they are trained on; what Arrow holds of them is freed meanwhile."""
    table = pq.read_table(path)
    cells = pa.from_numpy_dtype(cell_type(table.num_rows))
    for name in schema.features_of(Kind.NUMERIC):
        index = table.schema.get_field_index(name)
        table = table.set_column(index, name, table[name].cast(cells))
    return table.to_pandas(self_destruct=True, split_blocks=True, use_threads=False, ignore_metadata=False)


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
