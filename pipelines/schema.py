"""What the columns of a model's training data are; remembered with every version as `schema.json`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from pipelines.errors import BadSettings

SCHEMA_FILE = "schema.json"
SCHEMA_FORMAT = 1


class Kind(StrEnum):
    """What the cells of a column are."""

    NUMERIC = "numeric"
    TEXT = "text"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """The columns of a drop, without its target, and what became of them.

    Attributes:
        target: The label's column, as the drop spells it.
        entity_column: Whose rows belong together, as the drop spells it; empty when there is none.
        columns: Kind of every column but the target, in the drop's order.
        identifiers: Columns that only say who a row is about, and why they are taken to.
        uninformative: Columns that say nothing, and why.
        holdout_ratio: Share of the units that the model was not trained on; None when that is not known.
    """

    target: str
    entity_column: str
    columns: Mapping[str, Kind]
    identifiers: Mapping[str, str] = field(default_factory=dict)
    uninformative: Mapping[str, str] = field(default_factory=dict)
    holdout_ratio: float | None = None

    @property
    def dropped(self) -> dict[str, str]:
        """Columns that are no features, and why."""
        return {**self.uninformative, **self.identifiers}

    @property
    def features(self) -> tuple[str, ...]:
        """The columns that the model sees, in the drop's order."""
        dropped = self.dropped
        return tuple(name for name in self.columns if name not in dropped)

    def features_of(self, kind: Kind) -> list[str]:
        """The features of one kind, in the drop's order."""
        return [name for name in self.features if self.columns[name] is kind]

    def to_json(self) -> str:
        """The document that `parse_schema` reads."""
        document = {
            "format": SCHEMA_FORMAT,
            "target": self.target,
            "entity_column": self.entity_column,
            "columns": self.columns,
            "features": self.features,
            "identifiers": self.identifiers,
            "uninformative": self.uninformative,
            "holdout_ratio": self.holdout_ratio,
        }
        return json.dumps(document, indent=1)


def read_schema(path: Path) -> Schema:
    """Read the `schema.json` that an earlier step wrote.

    Raises:
        BadSettings: It is empty or not of the known format.
    """
    schema = parse_schema(json.loads(path.read_text(encoding="utf-8")))
    if schema is None:
        msg = f"{path} is empty"
        raise BadSettings(msg)
    return schema


def parse_schema(document: Mapping[str, Any]) -> Schema | None:
    """Read `schema.json`; None when the document is empty, as when there is no champion.

    Raises:
        BadSettings: It is not a schema of the known format.
    """
    if not document:
        return None
    if document.get("format") != SCHEMA_FORMAT:  # 1.0 is 1: KFP passes numbers as floats
        msg = f"schema.json has format {document.get('format')!r}, this pipeline reads {SCHEMA_FORMAT}"
        raise BadSettings(msg)
    return Schema(
        target=document["target"],
        entity_column=document["entity_column"],
        columns={name: Kind(kind) for name, kind in document["columns"].items()},
        identifiers=dict(document["identifiers"]),
        uninformative=dict(document["uninformative"]),
        holdout_ratio=_share(document.get("holdout_ratio")),
    )


def units_differ(champion: Schema, own: Schema) -> str:
    """Why a champion may have been trained on the rows that a run holds out; empty when it has not seen them.

    Both must hold out by the same customers. A column that was only renamed holds the same ones, since its name is no part of
    the split.

    Args:
        champion: What the champion was trained on.
        own: What the run's drop is.
    """
    then, now = champion.entity_column, own.entity_column
    if then.casefold() == now.casefold():
        return ""
    is_renamed = then and now and then not in own.columns and now not in champion.columns
    if is_renamed:
        return ""
    return (
        f"its rows were held out by {_unit(then)}, now they are by {_unit(now)}, so that it may have been trained on those that "
        "it would be judged by: set entity_column back, or promote a version with --force to begin anew"
    )


def understood_otherwise(trained: Schema, own: Schema) -> str:
    """Why a model may have been trained on rows that are held out of the same drop now; empty when it has not seen them.

    Without an entity a row is held out by all it says but ids and the target, so that these must be the same as well.

    Args:
        trained: What the model was trained on.
        own: The same drop, as it is understood now.
    """
    if own.entity_column and trained.target == own.target:
        return ""
    then, now = (set(schema.columns) - set(schema.identifiers) for schema in (trained, own))
    if then == now:
        return ""
    names = ", ".join(f"'{name}'" for name in sorted(then ^ now))
    return (
        f"its drop had another target or other ids then, which shows in {names}, so that it may have been trained on the rows "
        "that it would be judged by: set target and id_columns back, or promote a version with --force to begin anew"
    )


def judged_by(own: Schema, *others: Schema | None) -> float:
    """Share of the units that none of several models was trained on; one whose ratio is not known is taken to have the run's.

    Args:
        own: What the run's drop is.
        others: What the models were trained on, if that is known.
    """
    known = (schema.holdout_ratio for schema in (own, *others) if schema and schema.holdout_ratio is not None)
    return min(known, default=0.0)


def _share(value: object) -> float | None:
    if value is None or (isinstance(value, (int, float)) and 0 < value < 1):
        return value
    msg = f"schema.json has the holdout_ratio {value!r}, which is no share"
    raise BadSettings(msg)


def _unit(entity_column: str) -> str:
    return f"column '{entity_column}'" if entity_column else "all they say"
