"""Step 4: the candidate becomes a version in the registry."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipelines import tracking
from pipelines.parameters import Drop, RunIdentity
from pipelines.progress import timed
from pipelines.registration import Lineage, mlflow_model, register
from pipelines.schema import Schema, read_schema


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredFiles:
    """What the step reads.

    Attributes:
        holdout_rows: Parquet; its first row is the input example.
        schema: JSON, the features are the signature.
        candidate: skops.
        evaluation: JSON; what is not evaluated is not registered.
    """

    holdout_rows: Path
    schema: Path
    candidate: Path
    evaluation: Path


def register_model(identity: RunIdentity, drops: Sequence[Drop], files: RegisteredFiles) -> str:
    """Create the one version of this run key, and point alias `candidate` at it.

    Args:
        identity: Whose run.
        drops: Oldest first.
        files: What to read.

    Returns:
        The version.
    """
    with timed("opening the MLflow run"):
        run = tracking.open_run(identity, drops[-1].period)
    schema = read_schema(files.schema)
    evaluation = json.loads(files.evaluation.read_text(encoding="utf-8"))
    lineage = Lineage(drops=drops, training_rows=evaluation["training"]["rows"], holdout_rows=evaluation["holdout"]["rows"])
    with timed("registering the model"), tempfile.TemporaryDirectory() as folder:
        mlflow_model(Path(folder), model_file=files.candidate, schema=schema, example=_example(files.holdout_rows, schema))
        version = register(run, identity, lineage, Path(folder))
    tracking.finish(run)
    return version


def _example(holdout: Path, schema: Schema) -> Mapping[str, Any]:
    """The first row alone, however many there are."""
    first = next(pq.ParquetFile(holdout).iter_batches(batch_size=1, columns=list(schema.features)))
    return dict(first.to_pylist()[0])
