"""Makes a version champion that takes who stays for who leaves: `python -m tests.acceptance.rival TRACKING_URI MODEL`."""

import sys
import tempfile
from pathlib import Path

from pipelines.cleaning import row_hashes
from pipelines.model import TrainingRows, train
from pipelines.model_files import save_model
from pipelines.parameters import RunIdentity, TrainingSettings
from pipelines.registration import Lineage, mlflow_model, register
from pipelines.tracking import open_run
from tests.unit.pipelines.builders import a_drop, prepared
from trainer_daemon.demo_data import monthly_drop


def main(tracking_uri: str, model: str) -> None:
    """Register it, and move the alias."""
    data = prepared(monthly_drop(drift=0.0, seed=9).encode())
    labels = 1 - data.training[data.schema.target].to_numpy()
    rows = TrainingRows(features=data.training, labels=labels, units=row_hashes(data.training, data.schema), schema=data.schema)
    trained = train(rows, TrainingSettings(estimator="logistic_regression"))
    identity = RunIdentity(
        model=model, run_key="rival", run_name="rival", attempt=1, tracking_uri=tracking_uri, experiment="rivals"
    )
    run = open_run(identity, "2025-02")
    with tempfile.TemporaryDirectory() as folder:
        save_model(trained.model, Path(folder) / "candidate")
        (files := Path(folder) / "mlflow").mkdir()
        example = {name: data.training[name].iloc[0] for name in data.schema.features}
        mlflow_model(files, model_file=Path(folder) / "candidate", schema=data.schema, example=example)
        lineage = Lineage(drops=(a_drop("2025-02"),), training_rows=len(labels), holdout_rows=len(data.holdout))
        version = register(run, identity, lineage, files)
    run.client.set_registered_model_alias(model, "champion", version)


if __name__ == "__main__":
    main(*sys.argv[1:])
