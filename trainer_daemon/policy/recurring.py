"""Recurring runs of Kubeflow Pipelines, and the crontab schedule that fires when one of them does. Pure.

Its cron is that of github.com/robfig/cron, version 1, which the backend calls in UTC: seconds come first, `?` is `*`, `5/15` goes
on to the end of the range, 0 is Sunday. Where a day of month or of week holds a star both have to match, as in Vixie cron.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import assert_never

from trainer_daemon.policy.crontab import MONTHS, NAMED, WEEKDAYS, parse_crontab

_MINUTE_S, _HOUR_S, _DAY_S, _WEEK_S = 60, 3600, 86400, 604800
_UNITS = ((_WEEK_S, "week"), (_DAY_S, "day"), (_HOUR_S, "hour"), (_MINUTE_S, "minute"), (1, "second"))
_CRON_FIELDS = 6
_ELEMENT = re.compile(r"(?P<first>[*?]|[0-9a-z]{1,4})(?:-(?P<last>[0-9a-z]{1,4}))?(?:/(?P<step>[0-9]{1,4}))?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """A trigger by a cron expression."""

    expression: str

    def __str__(self) -> str:
        return self.expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Every:
    """A trigger by an interval.

    Attributes:
        since: From when on intervals are counted.
    """

    interval_s: int
    since: datetime

    def __str__(self) -> str:
        size, unit = next((size, unit) for size, unit in _UNITS if self.interval_s % size == 0)
        count = self.interval_s // size
        return f"every {unit}" if count == 1 else f"every {count} {unit}s"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurringRun:
    """What Kubeflow Pipelines starts by itself, again and again.

    Attributes:
        trigger: None when it has none that is known here.
        pipeline: Name of what it executes; empty when that is not known.
        starts_at: Before that it does nothing; None when nobody said so.
        ends_at: After that it does nothing; None when nobody said so.
    """

    id: str
    name: str
    is_enabled: bool
    trigger: Cron | Every | None
    pipeline: str = ""
    starts_at: datetime | None = None
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """A model's own schedule in place of a recurring run.

    Attributes:
        schedule: Five fields, or a name such as @daily.
        notes: In what it differs; a sentence each.
    """

    schedule: str
    timezone: str = "UTC"
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """One field after that of the seconds."""

    name: str
    low: int
    high: int
    names: Mapping[str, int] = field(default_factory=dict)

    def number(self, text: str) -> int:
        """What is written; 0 for nonsense, which the crontab refuses in its own words."""
        return int(text) if text.isdigit() else self.names.get(text, 0)


_SECOND = _Place(name="second", low=0, high=59)
_PLACES = (
    _Place(name="minute", low=0, high=59),
    _Place(name="hour", low=0, high=23),
    _Place(name="day of month", low=1, high=31),
    _Place(name="month", low=1, high=12, names={name: number for number, name in enumerate(MONTHS, start=1)}),
    _Place(name="day of week", low=0, high=6, names={name: number for number, name in enumerate(WEEKDAYS)}),
)


def converted(run: RecurringRun) -> Converted:
    """The schedule that fires when a recurring run does.

    Raises:
        ValueError: There is none; with the words that follow "the recurring run … cannot become a schedule, ".
    """
    match run.trigger:
        case None:
            msg = "it has neither a cron expression nor an interval"
            raise ValueError(msg)
        case Cron(expression=expression):
            schedule, notes = _of_cron(expression)
        case Every() as every:
            schedule, notes = _of_interval(every)
        case _:
            assert_never(run.trigger)
    parse_crontab(schedule)
    return Converted(schedule=schedule, notes=(*notes, *_bounds(run)))


def _bounds(run: RecurringRun) -> tuple[str, ...]:
    bounds = ((run.starts_at, "begins"), (run.ends_at, "ends"))
    return tuple(f"the recurring run {verb} at {at:%Y-%m-%d %H:%M} UTC; a schedule never does" for at, verb in bounds if at)


def _of_interval(every: Every) -> tuple[str, tuple[str, ...]]:
    since = every.since.astimezone(UTC)
    notes = _rounded(since.second)
    minutes, seconds = divmod(every.interval_s, _MINUTE_S)
    hours, odd_minutes = divmod(minutes, 60)
    if minutes and not seconds and 60 % minutes == 0:
        return f"{_repeated(since.minute, minutes, 60)} * * * *", notes
    if hours and not seconds and not odd_minutes and 24 % hours == 0:
        return f"{since.minute} {_repeated(since.hour, hours, 24)} * * *", notes
    if every.interval_s == _WEEK_S:
        return f"{since.minute} {since.hour} * * {since.isoweekday() % 7}", notes
    msg = f"no crontab says {every}: only intervals that divide an hour or a day, a day and a week can be written as one"
    raise ValueError(msg)


def _repeated(phase: int, step: int, size: int) -> str:
    """One field that fires every `step` of `size`, at a phase."""
    first = phase % step
    if step in {1, size}:
        return "*" if step == 1 else str(first)
    return f"{first}-{size - 1}/{step}" if first else f"*/{step}"


def _of_cron(expression: str) -> tuple[str, tuple[str, ...]]:
    if expression.startswith("@"):
        return _named(expression), ()
    fields = expression.lower().split()
    notes: tuple[str, ...] = ()
    if len(fields) == _CRON_FIELDS - 1:  # the day of week may be left out there
        notes = (f"{expression} has five fields: Kubeflow Pipelines takes the first for seconds, the second for minutes",)
        fields.append("*")
    if len(fields) != _CRON_FIELDS:
        msg = f'its cron expression "{expression}" has {len(fields)} fields instead of six, seconds first'
        raise ValueError(msg)
    second = _second(fields[0])
    texts = [_field(place, text) for place, text in zip(_PLACES, fields[1:], strict=True)]
    _check_days(fields[3::2], texts[2::2])
    return " ".join(texts), (*notes, *_rounded(second))


def _named(expression: str) -> str:
    if expression in NAMED:
        return expression
    msg = f"no crontab says {expression}; of the names only {', '.join(NAMED)} have a time of day"
    raise ValueError(msg)


def _rounded(second: int) -> tuple[str, ...]:
    return (f"it fires at second {second} of a minute, the schedule at second 0",) if second else ()


def _second(text: str) -> int:
    """The one second of a minute at which it fires."""
    element = _field(_SECOND, text)
    if not element.isdigit() or int(element) not in range(60):
        msg = f'it fires several times a minute (its seconds are "{text}"), and a schedule once at most'
        raise ValueError(msg)
    return int(element)


def _field(place: _Place, text: str) -> str:
    elements = [_element(place, part) for part in text.split(",") if part]
    if "*" in elements:
        return "*"
    return ",".join(sorted(elements, key=lambda element: not element.startswith("*")))  # a crontab looks for a star there


def _element(place: _Place, text: str) -> str:
    match = _ELEMENT.fullmatch(text)
    if match is None or (match["first"] in "*?" and match["last"]):
        msg = f'its {place.name} "{text}" is nothing that a crontab knows'
        raise ValueError(msg)
    written, low, high = _range(place, match["first"], match["last"], has_step=match["step"] is not None)
    step = int(match["step"] or 1)
    if step == 1:
        return written
    return str(low) if 0 <= high - low < step else f"{written}/{step}"


def _range(place: _Place, first: str, last: str | None, *, has_step: bool) -> tuple[str, int, int]:
    """A range as a crontab writes it, and its ends; a step makes a single number begin a range."""
    if first in "*?":
        return "*", place.low, place.high
    if last is None and not has_step:
        return first, place.number(first), place.number(first)
    end = last or str(place.high)
    return f"{first}-{end}", place.number(first), place.number(end)


def _check_days(fields: list[str], texts: list[str]) -> None:
    """Refuse days whose star, which says that both fields count, would be lost: `*/40` is a star there, and 1 is none here."""
    if any(set(text) & set("*?") for text in fields) and not any(text.startswith("*") for text in texts):
        msg = f'no crontab says on which days both its day of month "{fields[0]}" and its day of week "{fields[1]}" match'
        raise ValueError(msg)
