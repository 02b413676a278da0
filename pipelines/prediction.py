"""Rows to predictions, block by block; what does not fit the model's signature is refused, never guessed."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipelines.columns import find_column, quoted, refuse_text, typed_frame
from pipelines.errors import BadDrop, BadSettings
from pipelines.evaluation import DECISION_THRESHOLD
from pipelines.model import churn_probabilities
from pipelines.parameters import DataSettings
from pipelines.progress import say
from pipelines.reading import RawDrop
from pipelines.schema import Kind, Schema
from pipelines.serving import Served

ROW = "row"
RESULT = ("probability", "label", "model_version", "run_key")
BINS = 20
_DECIMALS = 9  # what follows depends on the processor and its threads, and a repetition is to write the same bytes


@dataclass(slots=True, kw_only=True)
class Tally:
    """What a person wants to know of all predictions; grows with them.

    Attributes:
        probabilities: Rows by probability, in bins of equal width.
    """

    rows: int = 0
    labelled: int = 0
    total: float = 0.0
    probabilities: np.ndarray

    @property
    def mean(self) -> float:
        """Mean probability of churn."""
        return self.total / self.rows if self.rows else 0.0

    @property
    def share(self) -> float:
        """Share of the rows that are labelled as churn."""
        return self.labelled / self.rows if self.rows else 0.0


def new_tally() -> Tally:
    """Of no predictions yet."""
    return Tally(probabilities=np.zeros(BINS, dtype=np.int64))


class Predictor:
    """Predicts the blocks of one data set, in order.

    Args:
        served: By which model.
        settings: Which columns say whose row it is.
        run_key: Stands beside every prediction.
    """

    def __init__(self, served: Served, settings: DataSettings, run_key: str) -> None:
        self._served, self._settings, self._run_key = served, settings, run_key
        self._schema = Schema(target="", entity_column="", columns=served.columns)
        self._ids: Sequence[str] | None = None
        self.tally = new_tally()

    def predict(self, blocks: Iterable[RawDrop]) -> Iterator[pa.Table]:
        """The predictions of each block.

        Returns:
            Ids as they are written, or the number of the row from 1 when there are none; probability of churn, 0 to 1; label 0
            or 1; the model's version; the run's key.

        Raises:
            BadDrop: The data does not fit the model.
            BadSettings: An id is called like a column of the result.
        """
        for block in blocks:
            if self._ids is None:
                check_columns(block.table.column_names, self._served)
                self._ids = id_columns(block.table.column_names, self._settings)
            yield self._block(block, self._ids)

    def _block(self, block: RawDrop, ids: Sequence[str]) -> pa.Table:
        probabilities = self._probabilities(block)
        labels = (probabilities >= DECISION_THRESHOLD).astype(np.int8)
        first = self.tally.rows + 1
        self._count(probabilities, labels)
        whose = {name: block.table[name] for name in ids} or {ROW: pa.array(np.arange(first, first + len(labels)))}
        stamps = {
            name: pa.repeat(value, len(labels))
            for name, value in zip(RESULT[2:], (self._served.version, self._run_key), strict=True)
        }
        return pa.table({**whose, "probability": probabilities, "label": labels, **stamps})

    def _probabilities(self, block: RawDrop) -> np.ndarray:
        for name in self._schema.features_of(Kind.NUMERIC):
            refuse_text(block, name, whose=self._served.title)
        rows = typed_frame(block, self._schema)
        probabilities: np.ndarray = churn_probabilities(self._served.model, rows[list(self._schema.columns)]).round(_DECIMALS)
        return probabilities

    def _count(self, probabilities: np.ndarray, labels: np.ndarray) -> None:
        self.tally.rows += len(labels)
        self.tally.labelled += int(labels.sum())
        self.tally.total += float(probabilities.sum())
        bins = np.minimum((probabilities * BINS).astype(np.int64), BINS - 1)
        self.tally.probabilities += np.bincount(bins, minlength=BINS)


def check_columns(names: Sequence[str], served: Served) -> None:
    """Compare the columns of a data set with the model's signature; further columns do no harm.

    Args:
        names: What the data set has.
        served: The model.

    Raises:
        BadDrop: Columns are missing; they are named, with what stands there in their place.
    """
    missing = [name for name in served.columns if name not in names]
    if not missing:
        return
    alike = {name: other for name in missing if (other := find_column(names, name)) is not None}
    hint = f" ({quoted(list(alike.values()))} is spelled differently)" if alike else ""
    msg = (
        f"the columns do not fit {served.title}: {quoted(missing)} missing{hint}; "
        "correct the file, or use a version that was trained on such columns"
    )
    raise BadDrop(msg)


def id_columns(names: Sequence[str], settings: DataSettings) -> Sequence[str]:
    """Which columns of a data set say whose row it is; none when rows are numbered.

    Args:
        names: What the data set has.
        settings: What is configured.

    Raises:
        BadSettings: One is called like a column of the result.
    """
    wanted = [name for name in (settings.entity_column, *settings.id_columns) if name]
    found = {name: find_column(names, name) for name in dict.fromkeys(wanted)}
    for name, column in found.items():
        if column is None:
            say(f"there is no id column '{name}'")
        if column in RESULT:
            msg = f"id column '{column}' is called like a column of the predictions: rename it in the file"
            raise BadSettings(msg)
    ids = list(dict.fromkeys(column for column in found.values() if column is not None))
    if not ids:
        say(f"rows are identified by their number, in column '{ROW}': the data has no configured id")
    return ids
