"""What the daemon would see in MLflow of one model's runs."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.parameters import RunIdentity
from pipelines.tracking import connect

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """Looks at MLflow with its own client."""

    identity: RunIdentity

    @property
    def client(self) -> "MlflowClient":
        """The real client."""
        return connect(self.identity.tracking_uri)

    def runs(self) -> list["Run"]:
        """Every MLflow run of the model."""
        experiment = self.client.get_experiment_by_name(self.identity.experiment)
        assert experiment is not None
        return list(self.client.search_runs([experiment.experiment_id], f"tags.`trainer.model` = '{self.identity.model}'"))

    def versions(self) -> list["ModelVersion"]:
        """Every version of the model."""
        return list(self.client.search_model_versions(f"name = '{self.identity.model}'"))

    def artifact(self, name: str) -> str:
        """The text of an artifact on the model's only run."""
        (run,) = self.runs()
        return self.download(f"{run.info.artifact_uri}/{name}").read_text(encoding="utf-8")

    def download(self, uri: str) -> Path:
        """Where the client has put what is at an address."""
        from mlflow.artifacts import download_artifacts

        return Path(download_artifacts(uri))

    def failure(self) -> dict[str, Any]:
        """What the model's only run says of its failure."""
        (run,) = self.runs()
        document: dict[str, Any] = json.loads(run.data.tags["trainer.failure"])
        return document
