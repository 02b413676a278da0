"""Events: what may call for training, and how a drop's name becomes its period. Pure."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache

NO_MONTH = "the name has no possible month: months are 01 to 12"
_DATA_SUFFIXES = (".csv", ".gz", ".tgz", ".zip", ".tsv", ".xls", ".xlsx", ".parquet")
_PERIOD = r"(?P<year>[0-9]{4})[-_]?(?P<month>[0-9]{2})"


class EventKind(StrEnum):
    """Why something may have to be trained."""

    DROP = "drop"
    SCHEDULE = "schedule"
    OPERATOR = "operator"


class Source(StrEnum):
    """Who told the daemon."""

    WATCH = "watch"
    LISTING = "listing"
    PUBSUB = "pubsub"
    CRON = "cron"
    CLI = "cli"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetVersion:
    """A drop: one immutable version of one object.

    Attributes:
        uri: `file:///…` or `gs://bucket/object`, without the generation.
        generation: Names this version of the object; opaque.
        checksum: `<algorithm>:<digest>` of the bytes; the identity of the content.
        period: `YYYY-MM`, parsed out of the name.
        size_bytes: Length of the object.
    """

    uri: str
    generation: str
    checksum: str
    period: str
    size_bytes: int = 0

    @property
    def ref(self) -> str:
        """`uri#generation`, as people see it."""
        return f"{self.uri}#{self.generation}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that may call for training.

    Attributes:
        id: Primary key in the ledger: the same happening always yields the same id.
        order: Generations of one object are ordered by it where the store orders them (GCS); None means by arrival.
        skip: Why nothing is to be trained for it, although it is recorded; empty for a normal event.
        force: The operator wants a run even when an equal one exists.
        signature: What a source compares to notice a change without reading the object again; opaque.
    """

    id: str
    kind: EventKind
    model: str
    source: Source
    occurred_at: datetime
    drop: DatasetVersion | None = None
    order: int | None = None
    skip: str = ""
    force: bool = False
    by: str = ""
    signature: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Something that was received and can never become a valid event; it is kept, with the reason, and starts nothing.

    Attributes:
        subject: The name of what it is about.
    """

    event: Event
    subject: str
    why: str


def no_drop(model: str, name: str, why: str, *, source: Source, at: datetime) -> Rejection:
    """The rejection of an object that is named like a drop and is none: one per name and reason, whoever tells of it."""
    event = Event(id=f"ignored:{model}:{name}#{why}", kind=EventKind.DROP, model=model, source=source, occurred_at=at)
    return Rejection(event=event, subject=name, why=why)


OPERATOR_EVENT = "cli:"
"""What the id of every operator's event begins with."""


def drop_event_id(model: str, drop: DatasetVersion) -> str:
    """The id of the event that this version of the drop exists."""
    return f"drop:{model}:{drop.ref}"


@lru_cache(maxsize=256)
def drop_pattern(template: str) -> re.Pattern[str]:
    """Compile a `drops` template such as `churn_data_{period}.csv`; `.gz` may follow and an archive may replace `.csv`.

    Raises:
        ValueError: The template does not contain `{period}` exactly once.
    """
    parts = template.split("{period}")
    if len(parts) != 2:  # noqa: PLR2004 - before and after the one placeholder
        msg = f"'{template}' must contain {{period}} exactly once, as in churn_data_{{period}}.csv"
        raise ValueError(msg)
    prefix, suffix = (re.escape(part) for part in parts)
    if parts[1].endswith(".csv"):
        suffix = re.escape(parts[1].removesuffix(".csv")) + r"(?:\.csv|\.csv\.gz|\.tar\.gz)"
    return re.compile(prefix + _PERIOD + suffix)


def parse_period(name: str, template: str) -> str | None:
    """The period in an object's name, relative to the bucket's prefix, or None when the name is not one of a drop."""
    match = drop_pattern(template).fullmatch(name)
    if match is None or not 1 <= int(match["month"]) <= 12:  # noqa: PLR2004 - months of a year
        return None
    return f"{match['year']}-{match['month']}"


def looks_like_drop(name: str, template: str) -> bool:
    """Whether a name has a drop's shape but no possible period, as `churn_data_2025_13.csv`: worth a warning, not silence."""
    return drop_pattern(template).fullmatch(name) is not None and parse_period(name, template) is None


def is_misnamed_data(name: str) -> bool:
    """Whether something that is not named like a drop may be meant as one: worth a line, once."""
    return name.lower().endswith(_DATA_SUFFIXES) and not name.startswith(".")


def other_name(template: str) -> str:
    """Why something that is not named like a drop is none."""
    return f"the name does not match drops = '{template}'"


def history_to_skip(drops: tuple[DatasetVersion, ...], start_from: str) -> frozenset[str]:
    """The refs of drops that an empty ledger finds and that `start_from` leaves untrained.

    Args:
        drops: Everything the first listing found.
        start_from: `all`, `newest` or the first period to train, `YYYY-MM`.
    """
    if start_from == "all" or not drops:
        return frozenset()
    first = max(drop.period for drop in drops) if start_from == "newest" else start_from
    return frozenset(drop.ref for drop in drops if drop.period < first)
