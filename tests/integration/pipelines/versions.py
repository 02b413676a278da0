"""A registered version without a training run: the same files, made in this process."""

import tempfile
from pathlib import Path

from sklearn.pipeline import Pipeline

from pipelines.cleaning import row_hashes
from pipelines.model import TrainingRows, train
from pipelines.model_files import save_model
from pipelines.parameters import TrainingSettings
from pipelines.registration import Lineage, mlflow_model, register
from pipelines.tracking import open_run
from tests.integration.pipelines.registry import Registry
from tests.unit.pipelines.builders import a_drop, prepared

FEATURES = ["Tenure", "Charges", "Contract"]


def a_version(registry: Registry, content: bytes) -> tuple[str, Pipeline]:
    """Train on a drop with the features above, and register; the version and its model."""
    data = prepared(content)
    units = row_hashes(data.training, data.schema)
    rows = TrainingRows(features=data.training, labels=data.training["Churn"].to_numpy(), units=units, schema=data.schema)
    model = train(rows, TrainingSettings(estimator="logistic_regression")).model
    with tempfile.TemporaryDirectory() as folder:
        save_model(model, Path(folder) / "candidate")
        (files := Path(folder) / "mlflow").mkdir()
        example = {name: data.training[name].iloc[0] for name in FEATURES}
        mlflow_model(files, model_file=Path(folder) / "candidate", schema=data.schema, example=example)
        lineage = Lineage(drops=(a_drop(),), training_rows=len(data.training), holdout_rows=len(data.holdout))
        return register(open_run(registry.identity, "2025-03"), registry.identity, lineage, files), model
