"""Step 1: drops to typed training rows, held-out rows and their schema."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.cleaning import Prepared, split_rows, type_rows
from pipelines.errors import blaming
from pipelines.parameters import DataSettings, Drop
from pipelines.progress import timed
from pipelines.reading import RawDrop, read_drop
from pipelines.schema import Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedFiles:
    """What the step writes.

    Attributes:
        training_rows: Parquet, typed rows to train on.
        holdout_rows: Parquet, typed rows to judge by.
        schema: JSON, see `Schema`.
    """

    training_rows: Path
    holdout_rows: Path
    schema: Path


def load_and_preprocess_data(
    drops: Sequence[Drop], settings: DataSettings, *, champion: Schema | None, files: LoadedFiles
) -> Prepared:
    """Read the drops, refuse what can never be trained, and write the rest.

    Args:
        drops: Oldest first.
        settings: How their rows are understood.
        champion: What the champion was trained on, when there is one.
        files: Where to write.

    Raises:
        BadDrop: A drop can never be trained.
        DropChanged: A drop holds other bytes by now.
    """
    typed = type_rows([_read(drop, settings.max_bytes) for drop in drops], settings, champion)
    with timed("splitting"):
        prepared = split_rows(typed, settings, champion)
    del typed  # as large as what is to be written
    prepared.training.to_parquet(files.training_rows, index=False)
    prepared.holdout.to_parquet(files.holdout_rows, index=False)
    files.schema.write_text(prepared.schema.to_json(), encoding="utf-8")
    return prepared


def _read(drop: Drop, max_bytes: int) -> RawDrop:
    with timed(f"reading {drop.uri.rpartition('/')[2]}"), blaming(drop.ref):
        return read_drop(drop, max_bytes=max_bytes)
