"""The root parameters of the pipelines as values; nothing here reads data.

KFP carries structures as protobuf Structs, which know only floats, so integral floats become integers again here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from pipelines.errors import BadSettings

_FRACTIONS = frozenset({"max_features", "max_samples"})
"""Hyperparameters where 1.0 means all of them and 1 means one of them."""
_GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """One immutable version of one object.

    Attributes:
        uri: `file:///…` or `gs://bucket/object`, without the generation.
        checksum: Of the bytes as they lie in the bucket, see `fingerprint`.
        period: `YYYY-MM`.
    """

    uri: str
    generation: str
    checksum: str
    period: str

    @property
    def ref(self) -> str:
        """`uri#generation`, as people see it."""
        return f"{self.uri}#{self.generation}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSettings:
    """How the rows of a drop are understood.

    Attributes:
        target: Name of the label's column, in any case.
        entity_column: Whose rows belong together, as a customer id; empty when there is none.
        positive_label: The label that means churn, when the labels are not 0/1, yes/no, true/false.
        holdout_ratio: Share of the units that are held out, 0 to 1.
        ranges: Lowest and highest possible value per column.
        max_bytes: A drop may not be larger, neither as it lies there nor unpacked.
    """

    target: str = "Churn"
    entity_column: str = ""
    id_columns: tuple[str, ...] = ()
    positive_label: str = ""
    holdout_ratio: float = 0.2
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    max_bytes: int = _GIB
    allow_schema_change: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """What is to be trained and how it is looked at; the same settings on the same rows give the same model and evidence.

    Attributes:
        slice_columns: Columns whose values are evaluated apart, besides the categorical ones with few values.
        min_slice_rows: Slices with fewer held-out rows are left out.
    """

    estimator: str = "auto"
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    slice_columns: tuple[str, ...] = ()
    min_slice_rows: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class RunIdentity:
    """Which run a step works for, and where its results go.

    Attributes:
        run_key: Identity by content; one MLflow run and one model version exist per key.
        attempt: Counts from 1.
        artifact_location: Where a new experiment keeps its artifacts; empty when the tracking server decides.
    """

    model: str
    run_key: str
    run_name: str
    attempt: int
    tracking_uri: str
    experiment: str
    artifact_location: str = ""


def parse_drops(values: Sequence[Mapping[str, Any]]) -> tuple[Drop, ...]:
    """The drops of a run, oldest first.

    Raises:
        BadSettings: There is none, or one lacks a key.
    """
    if not values:
        msg = "parameter drops is empty: a run needs at least one drop"
        raise BadSettings(msg)
    return tuple(Drop(**_known(Drop, "drops[]", value)) for value in values)


def parse_data(values: Mapping[str, Any]) -> DataSettings:
    """The parameter `data`; missing keys have their defaults.

    Raises:
        BadSettings: A key is unknown.
    """
    known = {name: restore_integers(value) for name, value in _known(DataSettings, "data", values).items()}
    if "ranges" in known:
        known["ranges"] = {name: (float(low), float(high)) for name, (low, high) in known["ranges"].items()}
    if "id_columns" in known:
        known["id_columns"] = tuple(known["id_columns"])
    return DataSettings(**known)


def parse_training(values: Mapping[str, Any]) -> TrainingSettings:
    """The parameter `training`; missing keys have their defaults.

    Raises:
        BadSettings: A key is unknown.
    """
    known = _known(TrainingSettings, "training", values)
    known["hyperparameters"] = {
        name: value if name in _FRACTIONS and value == 1.0 else restore_integers(value)
        for name, value in dict(known.get("hyperparameters") or {}).items()
    }
    for name in known.keys() & {"seed", "min_slice_rows"}:
        known[name] = int(known[name])
    return TrainingSettings(**{**known, "slice_columns": tuple(known.get("slice_columns") or ())})


def restore_integers(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The same JSON value with integral floats as integers, at any depth."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {name: restore_integers(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [restore_integers(item) for item in value]
    return value


def _known(kind: type, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(values) - {item.name for item in fields(kind)})
    if unknown:
        msg = f"parameter {name} has unknown keys: {', '.join(unknown)}"
        raise BadSettings(msg)
    return dict(values)
