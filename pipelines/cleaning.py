"""Drops to the rows that are trained on and the rows that are held out, with everything a drop can be refused for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from pandas.api.types import union_categoricals

from pipelines.columns import check_ranges, check_schema, kind_of, quoted, require_column, typed_frame
from pipelines.errors import BadDrop, blaming
from pipelines.features import identifiers, require_features, uninformative
from pipelines.labels import labels
from pipelines.parameters import DataSettings
from pipelines.progress import say
from pipelines.reading import RawDrop
from pipelines.schema import Schema, judged_by
from pipelines.split import entity_hashes, held_out, unit_hashes

_MISSING_SHARE_MAX = 0.05
HOLDOUT_ROWS_MIN = 5
_TRAINING_ROWS_MIN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What a run is trained and judged on.

    Attributes:
        training: Typed rows of all drops outside the holdout; the target is int8 0/1 under its own name.
        holdout: Held-out rows of the newest drop, with the same columns.
        schema: What the columns are, and which are features.
    """

    training: pd.DataFrame
    holdout: pd.DataFrame
    schema: Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedDrops:
    """The drops of a run, understood but not yet split.

    Attributes:
        frames: Typed rows of each drop whose label and entity are known, oldest first.
        schema: What the columns are; which of them are features is still to be seen.
    """

    frames: tuple[pd.DataFrame, ...]
    schema: Schema


def prepare(raws: Sequence[RawDrop], settings: DataSettings, champion: Schema | None) -> Prepared:
    """Check, type and split the drops of a run.

    Args:
        raws: The drops, oldest first; rows are held out of the newest only.
        settings: How the rows are understood.
        champion: What the champion was trained on, when there is one.

    Raises:
        BadDrop: A drop can never be trained; one sentence says what is wrong and where.
    """
    return split_rows(type_rows(raws, settings, champion), settings, champion)


def type_rows(raws: Sequence[RawDrop], settings: DataSettings, champion: Schema | None) -> TypedDrops:
    """Check and type the drops of a run; a step of its own, so that the cells as written need not be kept for the split.

    Args:
        raws: The drops, oldest first.
        settings: How the rows are understood.
        champion: What the champion was trained on, when there is one.

    Raises:
        BadDrop: A drop can never be trained.
    """
    aligned = _align(raws, settings)
    schema = _typed_schema(aligned, settings, champion)
    if not settings.allow_schema_change:
        _check_columns(aligned, schema, champion)
    return TypedDrops(frames=tuple(_rows(raw, schema, settings) for raw in aligned), schema=schema)


def split_rows(typed: TypedDrops, settings: DataSettings, champion: Schema | None) -> Prepared:
    """Split the drops of a run, and tell features from what is none.

    Of the rows that are not trained on, those are left out that a champion with a smaller holdout may have been trained on.

    Args:
        typed: The drops.
        settings: How the rows are understood.
        champion: What the champion was trained on, when there is one.

    Raises:
        BadDrop: Too few rows are left, or no feature.
    """
    schema = replace(
        typed.schema,
        identifiers=identifiers(typed.frames[-1], typed.schema, settings),
        holdout_ratio=settings.holdout_ratio,
    )
    require_features(schema)  # also what the split looks at when there is no entity
    training, holdout = _split(typed.frames, schema, champion)
    schema = replace(schema, uninformative=uninformative(training, schema))
    require_features(schema)
    for name, why in schema.dropped.items():
        say(f"column '{name}' is no feature: {why}")
    return Prepared(training=training, holdout=holdout, schema=schema)


def row_hashes(frame: pd.DataFrame, schema: Schema) -> np.ndarray:
    """Whose row each one is: of its entity; or without one, of all it says but ids and the target.

    Args:
        frame: Typed rows.
        schema: What the columns are.

    Returns:
        uint64, `(rows,)`.
    """
    if schema.entity_column:
        return entity_hashes(frame[schema.entity_column])
    return unit_hashes(frame, [name for name in schema.columns if name not in schema.identifiers])


def unseen(frame: pd.DataFrame, own: Schema, *models: Schema | None) -> np.ndarray:
    """Which rows none of several models was trained on.

    Args:
        frame: Typed rows.
        own: What the columns are.
        models: What the models were trained on, if that is known.

    Returns:
        bool, `(rows,)`.
    """
    return held_out(row_hashes(frame, own), judged_by(own, *models))


def _align(raws: Sequence[RawDrop], settings: DataSettings) -> list[RawDrop]:
    """Spell the target and the entity in every drop of the window as the newest does."""
    newest = _special_columns(raws[-1], settings)
    return [_renamed(raw, dict(zip(_special_columns(raw, settings), newest, strict=True))) for raw in raws]


def _special_columns(raw: RawDrop, settings: DataSettings) -> list[str]:
    names = raw.table.column_names
    with blaming(raw.drop.ref):
        target = require_column(names, settings.target, role="target")
        if not settings.entity_column:
            return [target]
        return [target, require_column(names, settings.entity_column, role="entity")]


def _renamed(raw: RawDrop, spelling: Mapping[str, str]) -> RawDrop:
    names = [spelling.get(name, name) for name in raw.table.column_names]
    return replace(raw, table=raw.table.rename_columns(names))


def _typed_schema(raws: Sequence[RawDrop], settings: DataSettings, champion: Schema | None) -> Schema:
    """What each column of the newest drop is, judged over the whole window."""
    target, *entity = _special_columns(raws[-1], settings)
    remembered = champion.columns if champion else {}
    kinds = {}
    for name in raws[-1].table.column_names:
        columns = [raw.table[name] for raw in raws if name in raw.table.column_names]
        kinds[name] = kind_of(columns, remembered=remembered.get(name))
    del kinds[target]
    return Schema(target=target, entity_column="".join(entity), columns=kinds)


def _check_columns(raws: Sequence[RawDrop], schema: Schema, champion: Schema | None) -> None:
    if champion is not None:
        check_schema(raws[-1], schema, champion)
    for raw in raws[:-1]:
        different = {*raw.table.column_names} ^ {*raws[-1].table.column_names}
        if different:
            msg = (
                f"the columns differ from those of {raw.drop.period}, which it is trained together with, in "
                f"{quoted(sorted(different))}; correct the file, or set allow_schema_change"
            )
            raise BadDrop(msg)


def _rows(raw: RawDrop, schema: Schema, settings: DataSettings) -> pd.DataFrame:
    """The typed rows of one drop whose label and entity are known; target int8."""
    with blaming(raw.drop.ref):
        return _checked_rows(raw, schema, settings)


def _checked_rows(raw: RawDrop, schema: Schema, settings: DataSettings) -> pd.DataFrame:
    frame = typed_frame(raw, schema)
    check_ranges(raw, frame, settings)
    frame[schema.target] = labels(raw, schema.target, settings)
    if not raw.complete and np.isnan(frame[schema.target].iloc[-1]):
        place = raw.place(len(frame))
        msg = f"the file ends in the middle of {place}: it has no '{schema.target}' and no line break; upload the whole file"
        raise BadDrop(msg)
    for name in filter(None, [schema.target, schema.entity_column]):
        frame = _without_missing(raw, frame, name)
    return frame.astype({schema.target: "int8"})


def _without_missing(raw: RawDrop, frame: pd.DataFrame, name: str) -> pd.DataFrame:
    missing = frame[name].isna()
    if not missing.any():
        return frame
    share, first = missing.mean(), raw.place(int(missing.idxmax()))
    if share > _MISSING_SHARE_MAX:
        msg = f"column '{name}' is missing in {share:.1%} of the rows, first in {first}; at most {_MISSING_SHARE_MAX:.0%} may be"
        raise BadDrop(msg)
    say(f"{missing.sum()} of {len(frame)} rows of {raw.drop.period} are left out: '{name}' is missing, first in {first}")
    return frame[~missing]


def _split(frames: Sequence[pd.DataFrame], schema: Schema, champion: Schema | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training rows of all drops and held-out rows of the newest; a held-out unit is trained on in no month."""
    hashes = [row_hashes(frame, schema) for frame in frames]
    ratio = schema.holdout_ratio or 0.0
    training = _joined([frame[~held_out(each, ratio)] for frame, each in zip(frames, hashes, strict=True)])
    holdout = frames[-1][held_out(hashes[-1], judged_by(schema, champion))].reset_index(drop=True)
    _require_rows(training[schema.target], "training", _TRAINING_ROWS_MIN)
    _require_rows(holdout[schema.target], "holdout", HOLDOUT_ROWS_MIN)
    say(f"{len(training):,} rows to train on, {len(holdout):,} held out")
    return training, holdout


def _joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One frame below the other; texts that recur in each of them are made to share their categories."""
    if len(frames) == 1:
        return frames[0].reset_index(drop=True)
    shared = {
        name: pd.CategoricalDtype(union_categoricals([frame[name] for frame in frames]).categories)
        for name in frames[-1].columns
        if all(isinstance(frame[name].dtype, pd.CategoricalDtype) for frame in frames)
    }
    alike = [frame.astype(shared | _as_plain_texts(frame, shared)) for frame in frames]
    return pd.concat(alike, ignore_index=True)


def _as_plain_texts(frame: pd.DataFrame, shared: Mapping[str, object]) -> dict[str, str]:
    """What recurs in this frame, but not in all of them."""
    return {name: "str" for name in frame.select_dtypes("category").columns if name not in shared}


def _require_rows(target: pd.Series, part: str, minimum: int) -> None:
    if len(target) < minimum:
        msg = f"the file has too few rows: {len(target)} for {part}, at least {minimum} are needed"
        raise BadDrop(msg)
    if target.min() == target.max():
        msg = f"all {len(target):,} rows for {part} have the same label ({target.iloc[0]}): both are needed to judge a model"
        raise BadDrop(msg)
