"""Training and scoring through the plain functions, without KFP and without files."""

from dataclasses import dataclass

import numpy as np

from pipelines.cleaning import Prepared, row_hashes
from pipelines.evaluation import score_probabilities
from pipelines.model import Trained, TrainingRows, churn_probabilities, train
from pipelines.parameters import TrainingSettings
from tests.unit.pipelines.builders import prepared


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """One trained month."""

    data: Prepared
    trained: Trained

    def metrics_of(self, other: "Month") -> dict[str, float]:
        """Another month's model on the rows that this month held out."""
        rows = self.data.holdout[list(other.data.schema.features)]
        labels = self.data.holdout[self.data.schema.target].to_numpy().astype(np.int64)
        return score_probabilities(churn_probabilities(other.trained.model, rows), labels).defined

    @property
    def metrics(self) -> dict[str, float]:
        """The model on its own month."""
        return self.metrics_of(self)


def a_month(*window: bytes, entity_column: str = "", training: TrainingSettings | None = None) -> Month:
    """Train on one month or on a window of them; the default estimator with the default settings, unless told otherwise."""
    data = prepared(*window, entity_column=entity_column)
    labels = data.training[data.schema.target].to_numpy()
    rows = TrainingRows(features=data.training, labels=labels, units=row_hashes(data.training, data.schema), schema=data.schema)
    return Month(data=data, trained=train(rows, training or TrainingSettings()))
