"""Crontab schedules: what five fields or a name such as @daily mean, and when they fire in a time zone. Pure."""

import re
from calendar import monthrange
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import partial
from itertools import count
from typing import NoReturn

from trainer_daemon.policy.events import Event, EventKind, Source

NAMED: Mapping[str, str] = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

_ONE_DAY = timedelta(days=1)
_ONE_MINUTE = timedelta(minutes=1)
_HOURS_OF_A_DAY = 24
_LEAP_YEAR = 2028
_ELEMENT = re.compile(
    r"(?P<first>\*|[0-9a-z]{1,4})(?:-(?P<last>[0-9a-z]{1,4}))?(?:/(?P<step>[0-9]{1,4}))?", re.ASCII | re.IGNORECASE
)
_ANY = "*, ranges, lists and steps, as in 1-5 or 1,3 or */2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crontab:
    """A schedule that has been understood.

    Attributes:
        weekdays: 0 is Sunday, 6 is Saturday.
        either_day: Day of month and day of week are both restricted, so that a day needs to match one of them only.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    """What one of the five fields may hold.

    Attributes:
        allowed: The numbers that may be written.
        every: The numbers that `*` stands for.
        names: What may be written instead of a number.
    """

    name: str
    allowed: range
    every: range
    words: str
    names: Mapping[str, int] = field(default_factory=dict)


MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = (
    _Field(name="minute", allowed=range(60), every=range(60), words="0 to 59"),
    _Field(name="hour", allowed=range(24), every=range(24), words="0 to 23"),
    _Field(name="day of month", allowed=range(1, 32), every=range(1, 32), words="1 to 31"),
    _Field(
        name="month",
        allowed=range(1, 13),
        every=range(1, 13),
        words="1 to 12 or jan to dec",
        names={name: number for number, name in enumerate(MONTHS, start=1)},
    ),
    _Field(
        name="day of week",
        allowed=range(8),
        every=range(7),
        words="0 to 7 or sun to sat (0 and 7 are Sunday)",
        names={name: number for number, name in enumerate(WEEKDAYS)},
    ),
)


def parse_crontab(text: str) -> Crontab:
    """Understand a schedule as crontab(5) of Vixie cron does.

    Names may also stand in ranges and lists. What can only be a mistake is refused: a step that is longer than its range,
    and a date that no year has.

    Raises:
        ValueError: With the words that follow "the schedule is …, but".
    """
    parts = _five_fields(text)
    minutes, hours, days, months, weekdays = (_values(known, part) for known, part in zip(_FIELDS, parts, strict=True))
    crontab = Crontab(
        minutes=minutes,
        hours=hours,
        days=days,
        months=months,
        weekdays=frozenset(number % 7 for number in weekdays),
        either_day=not parts[2].startswith("*") and not parts[4].startswith("*"),
    )
    if not crontab.either_day and min(days) > max(monthrange(_LEAP_YEAR, month)[1] for month in months):
        msg = f'it would never fire: month "{parts[3]}" has no day of month "{parts[2]}"'
        raise ValueError(msg)
    return crontab


def next_fire(crontab: Crontab, after: datetime, *, zone: tzinfo) -> datetime:
    """The first time that a schedule fires after a given one.

    Where clocks are put forward or back, a schedule of every hour fires whenever the local clock shows its minute. Any other
    fires exactly once for each of its times of day, as RFC 5545 section 3.3.5 reads local times: of a repeated one the first
    counts, and a skipped one is moved by as much as the clock is - back where it would otherwise leave its day.

    Returns:
        The nominal time, in UTC.
    """
    days = _days(crontab, after.astimezone(zone).date(), step=1)
    return next(fire for day in days for fire in _fires_on(crontab, day, zone) if fire > after)


def last_fire(crontab: Crontab, now: datetime, *, zone: tzinfo) -> datetime:
    """The time, in UTC, that a schedule has fired last, which may be now; the counterpart of `next_fire`."""
    days = _days(crontab, now.astimezone(zone).date(), step=-1)
    return next(fire for day in days for fire in reversed(_fires_on(crontab, day, zone)) if fire <= now)


def schedule_event(model: str, schedule: str, fired_at: datetime, *, retrain: bool) -> Event:
    """The event that a model's schedule has fired.

    Args:
        model: Name of the model.
        schedule: As configured; part of the event's identity, in which spaces do not count.
        fired_at: The nominal fire time: the same for every replica and after a restart, however late it is acted on.
        retrain: A run is wanted although no drop has changed.
    """
    return Event(
        id=f"cron:{model}:{' '.join(schedule.split())}@{fired_at.astimezone(UTC).isoformat()}",
        kind=EventKind.SCHEDULE,
        model=model,
        source=Source.CRON,
        occurred_at=fired_at,
        skip="" if retrain else 'on_schedule = "if_changed": the bucket was listed',
        force=retrain,
    )


def _five_fields(text: str) -> list[str]:
    names = ", ".join(NAMED)
    if text.startswith("@") and text not in NAMED:
        msg = f"the only names are {names}"
        raise ValueError(msg)
    parts = NAMED.get(text, text).split()
    if len(parts) != len(_FIELDS):
        msg = (
            f"must have five fields (minute, hour, day of month, month, day of week), as in "
            f'"0 3 * * *", or be one of {names}; it has {len(parts)}'
        )
        raise ValueError(msg)
    return parts


def _values(known: _Field, text: str) -> frozenset[int]:
    return frozenset(number for part in text.split(",") for number in _element(known, part))


def _element(known: _Field, part: str) -> range:
    """One element of a list: `*`, a value or a range, with or without a step."""
    refuse = partial(_refuse, known, part)
    match = _ELEMENT.fullmatch(part)
    if match is None or (match["first"] == "*" and match["last"]):
        refuse("cannot be read")
    if match["first"] == "*":
        numbers = known.every
    else:
        first = _number(known, part, match["first"])
        numbers = range(first, _number(known, part, match["last"] or match["first"]) + 1)
    if not numbers:
        refuse("is a range that runs backwards")
    if match["step"] is None:
        return numbers
    if match["first"] != "*" and not match["last"]:
        refuse(f"is a step without a range, as in {part.replace('/', f'-{known.every[-1]}/')}")
    if not 1 <= int(match["step"]) <= max(1, len(numbers) - 1):
        refuse("has a step that does not fit into its range")
    return numbers[:: int(match["step"])]


def _number(known: _Field, part: str, text: str) -> int:
    number = int(text) if text.isdigit() else known.names.get(text.lower())
    if number is None:
        _refuse(known, part, "cannot be read")
    if number not in known.allowed:
        _refuse(known, part, "is out of range")
    return number


def _refuse(known: _Field, part: str, why: str) -> NoReturn:
    msg = f'its {known.name} "{part}" {why}; allowed are {known.words}, {_ANY}'
    raise ValueError(msg)


def _days(crontab: Crontab, start: date, *, step: int) -> Iterator[date]:
    """The days a schedule fires on, from one on, forwards or backwards; they never end, since a parsed schedule has some."""
    calendar = (start + number * _ONE_DAY for number in count(0, step))
    return (day for day in calendar if _is_day(crontab, day))


def _is_day(crontab: Crontab, day: date) -> bool:
    if day.month not in crontab.months:
        return False
    in_month, in_week = day.day in crontab.days, day.isoweekday() % 7 in crontab.weekdays
    return (in_month or in_week) if crontab.either_day else (in_month and in_week)


def _fires_on(crontab: Crontab, day: date, zone: tzinfo) -> Sequence[datetime]:
    """Every fire of a local day, in UTC, ascending."""
    if len(crontab.hours) == _HOURS_OF_A_DAY:
        return [instant for instant in _minutes_of(day, zone) if instant.astimezone(zone).minute in crontab.minutes]
    times = (time(hour, minute) for hour in crontab.hours for minute in crontab.minutes)
    fires = (_instant(datetime.combine(day, at), zone) for at in times)
    return sorted({fire for fire in fires if fire is not None})


def _minutes_of(day: date, zone: tzinfo) -> Iterator[datetime]:
    """Every minute that passes between two midnights: 1,380 to 1,500 where clocks are changed by an hour."""
    start, end = (datetime.combine(midnight, time(), zone).astimezone(UTC) for midnight in (day, day + _ONE_DAY))
    return (start + number * _ONE_MINUTE for number in range((end - start) // _ONE_MINUTE))


def _instant(wall: datetime, zone: tzinfo) -> datetime | None:
    """When a time of day is, in UTC; None when the zone has skipped the whole day."""
    for fold in (0, 1):
        instant = wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
        if instant.astimezone(zone).date() == wall.date():
            return instant
    return None
