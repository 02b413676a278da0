"""Which columns a model may learn from: not those that say nothing, nor those that only say who somebody is."""

import pandas as pd

from pipelines.columns import find_column
from pipelines.errors import BadDrop
from pipelines.parameters import DataSettings
from pipelines.schema import Kind, Schema

_ID_ROWS_MIN = 100


def identifiers(newest: pd.DataFrame, schema: Schema, settings: DataSettings) -> dict[str, str]:
    """Columns that identify rows, and why they are taken to.

    Args:
        newest: Typed rows of the newest drop alone, `(rows, columns)`: in a window of months an id recurs.
        schema: Kinds of its columns.
        settings: Configured ids, which may be missing.
    """
    reasons = {
        name: "every value is different, as in an id"
        for name, kind in schema.columns.items()
        if _all_different(newest[name], kind)
    }
    for wanted in settings.id_columns:
        name = find_column(schema.columns, wanted)
        if name is not None:
            reasons[name] = "configured as an id"
    if schema.entity_column:
        reasons[schema.entity_column] = "identifies the entity"
    return reasons


def uninformative(training: pd.DataFrame, schema: Schema) -> dict[str, str]:
    """Columns with no value, or with one and the same in every row.

    Args:
        training: Typed rows that will be trained on, `(rows, columns)`.
        schema: Kinds of its columns.
    """
    distinct = {name: training[name].nunique() for name in schema.columns}
    empty = {name: "has no values" for name, count in distinct.items() if count == 0}
    constant = {
        name: "has the same value in every row"
        for name, count in distinct.items()
        if count == 1 and not training[name].isna().any()
    }
    return {**empty, **constant}


def require_features(schema: Schema) -> None:
    """Raise when nothing is left to learn from.

    Raises:
        BadDrop: No column is a feature.
    """
    if not schema.features:
        reasons = "; ".join(f"'{name}' {why}" for name, why in list(schema.dropped.items())[:5]) or "the target is the only one"
        msg = f"no column can be learned from: {reasons}"
        raise BadDrop(msg)


def _all_different(values: pd.Series, kind: Kind) -> bool:
    """Texts that are all different, or integers that are, in enough rows; continuous numbers are all different by nature."""
    present = values.dropna()
    if kind is Kind.TEXT:
        return len(present) > 1 and present.is_unique
    whole = kind is Kind.NUMERIC and bool((present % 1 == 0).all())
    return whole and len(present) >= _ID_ROWS_MIN and present.is_unique
