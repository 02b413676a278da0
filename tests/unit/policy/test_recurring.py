"""That the schedule which a recurring run becomes fires when the recurring run did, and that all others are refused."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer_daemon.policy.crontab import next_fire, parse_crontab
from trainer_daemon.policy.recurring import Cron, Every, RecurringRun, converted

START, END = datetime(2028, 1, 1, tzinfo=UTC), datetime(2029, 1, 1, tzinfo=UTC)
"""A leap year."""
INSTANT = timedelta(microseconds=1)
LIMITS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
SINCE = datetime(2026, 1, 1, 8, 17, tzinfo=UTC)


def a_run(trigger: Cron | Every | None, ends_at: datetime | None = None) -> RecurringRun:
    """A recurring run with a trigger."""
    return RecurringRun(id="1", name="monthly", is_enabled=True, trigger=trigger, starts_at=ends_at and SINCE, ends_at=ends_at)


def schedule(expression: str) -> str:
    """What an expression becomes."""
    return converted(a_run(Cron(expression=expression))).schedule


def fires(text: str) -> Iterator[datetime]:
    """When a schedule fires in the year."""
    crontab, after = parse_crontab(text), START - INSTANT
    while (after := next_fire(crontab, after, zone=UTC)) < END:
        yield after


def numbers(text: str, low: int, high: int) -> frozenset[int]:
    """What a field of robfig/cron stands for, read anew from its documentation."""
    found: set[int] = set()
    for part in text.split(","):
        range_, _, step = part.partition("/")
        first, _, last = range_.partition("-")
        start = low if first in {"*", "?"} else int(first)
        end = int(last) if last else high if step or first in {"*", "?"} else start
        found.update(range(start, end + 1, int(step or 1)))
    return frozenset(found)


def days_of(fields: list[str]) -> list[date]:
    """The days of the year on which an expression fires; a star in one of the day fields makes both count."""
    days, months, weekdays = (numbers(text, *limits) for text, limits in zip(fields[3:], LIMITS[2:], strict=True))
    both = any(mark in fields[place] for place in (3, 5) for mark in "*?")
    calendar = (START.date() + timedelta(days=number) for number in range((END - START).days))
    found = []
    for day in calendar:
        matches = (day.day in days, (day.weekday() + 1) % 7 in weekdays)
        if day.month in months and (all(matches) if both else any(matches)):
            found.append(day)
    return found


def robfig_fires(expression: str) -> Iterator[datetime]:
    """When robfig/cron would fire in the year: on every day of it, at every time of day."""
    fields = expression.split()
    minutes, hours = sorted(numbers(fields[1], 0, 59)), sorted(numbers(fields[2], 0, 23))
    return (datetime.combine(day, time(h, m), UTC) for day in days_of(fields) for h in hours for m in minutes)


@st.composite
def elements(draw: st.DrawFn, low: int, high: int) -> str:
    """One element of a list: a star, a number or a range, with or without a step."""
    first = draw(st.integers(low, high))
    last = draw(st.integers(first, high))
    written = draw(st.sampled_from(("*", "?", str(first), f"{first}-{last}")))
    return written + draw(st.sampled_from(("", "", f"/{draw(st.integers(1, high + 2))}")))


def fields(low: int, high: int) -> st.SearchStrategy[str]:
    """A field: often a star, else a short list."""
    return st.sampled_from("*?") | st.lists(elements(low, high), min_size=1, max_size=3).map(",".join)


day_expressions = st.tuples(
    st.just("0"), *(st.integers(*limits).map(str) for limits in LIMITS[:2]), *(fields(*limits) for limits in LIMITS[2:])
).map(" ".join)


@settings(max_examples=100, deadline=None)
@given(day_expressions)
def test_schedule_fires_when_the_expression_does(expression: str) -> None:
    """On every day of a leap year, by two implementations that share no line."""
    expected = list(robfig_fires(expression))
    try:
        text = schedule(expression)
    except ValueError as exc:
        assert "on which days both" in str(exc) or ("would never fire" in str(exc) and not expected)  # noqa: PT017 - no others are left
        return
    assert list(fires(text)) == expected


@given(fields(0, 59), fields(0, 23))
def test_schedule_has_the_times_of_day_of_the_expression(minute: str, hour: str) -> None:
    """Whatever is listed, and whatever the step."""
    crontab = parse_crontab(schedule(f"0 {minute} {hour} * * ?"))
    assert (crontab.minutes, crontab.hours) == (numbers(minute, 0, 59), numbers(hour, 0, 23))


@settings(max_examples=20, deadline=None)
@given(
    interval_s=st.sampled_from([3600 * hours for hours in (6, 8, 12, 24, 168)]),
    since=st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds are naive
)
def test_schedule_fires_when_the_interval_has_passed(interval_s: int, since: datetime) -> None:
    """From the moment on that intervals are counted from, at the beginning of the minute."""
    since = since.replace(second=0, microsecond=0)
    passed = (START - since) // timedelta(seconds=interval_s)
    counted = (since + timedelta(seconds=interval_s) * number for number in range(passed, passed + 4 * 367 + 1))
    expected = [moment for moment in takewhile(lambda moment: moment < END, counted) if moment >= START]
    assert list(fires(converted(a_run(Every(interval_s=interval_s, since=since))).schedule)) == expected


@pytest.mark.parametrize("minutes", [1, 2, 5, 10, 15, 30, 60, 120, 180, 240])
@pytest.mark.parametrize("since", [SINCE, SINCE.replace(hour=0, minute=0), SINCE.replace(hour=23, minute=59)])
def test_short_intervals_keep_their_phase(minutes: int, since: datetime) -> None:
    """At every minute of a day that is some intervals away, and at no other."""
    crontab = parse_crontab(converted(a_run(Every(interval_s=60 * minutes, since=since))).schedule)
    fires_at = {60 * hour + minute for hour in crontab.hours for minute in crontab.minutes}
    assert fires_at == {at for at in range(24 * 60) if (at - 60 * since.hour - since.minute) % minutes == 0}


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("0 0 3 * * ?", "0 3 * * *"),
        ("0 30 2 ? * 1,3", "30 2 * * 1,3"),
        ("0 0 0 ? JAN-mar SUN", "0 0 * jan-mar sun"),
        ("0 */15 * * * *", "*/15 * * * *"),
        ("0 5/15 * * * *", "5-59/15 * * * *"),
        ("0 0 0 3,*/10 * *", "0 0 */10,3 * *"),
        ("@daily", "@daily"),
        ("*/60 0 0 1 * ?", "0 0 1 * *"),
    ],
)
def test_schedule_is_written_like_the_expression(expression: str, text: str) -> None:
    """Whoever knows the one recognises the other; what the user interface writes is among them."""
    assert schedule(expression) == text


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("*/10 * * * * *", 'it fires several times a minute \\(its seconds are "\\*/10"\\)'),
        ("0,30 0 3 * * *", "several times a minute"),
        ("0 0 0 L * ?", 'its day of month "l" cannot be read'),
        ("0 0 0 15W * ?", 'its day of month "15w" cannot be read'),
        ("0 0 0 ? * 5#2", 'its day of week "5#2" is nothing that a crontab knows'),
        ("0 70 * * * *", 'its minute "70" is out of range'),
        ("0 30-10/5 * * * *", 'its minute "30-10/5" is a range that runs backwards'),
        ("0 0 0 30 2 ?", "it would never fire"),
        ("0 0 0 */40 * 1", 'on which days both its day of month "\\*/40" and its day of week "1" match'),
        ("0 0 3 * * * 2026", "has 7 fields instead of six, seconds first"),
        ("@every 90m", "no crontab says @every 90m"),
        ("", "has 0 fields"),
    ],
)
def test_expression_without_a_schedule_is_refused(expression: str, sentence: str) -> None:
    """In words that name what it is."""
    with pytest.raises(ValueError, match=sentence):
        schedule(expression)


@pytest.mark.parametrize("interval_s", [1, 90, 420, 5400, 7 * 3600, 2 * 86400, 14 * 86400, 30 * 86400, 0])
def test_interval_without_a_schedule_is_refused(interval_s: int) -> None:
    """Also that of a month, which the user interface offers and which has 30 days."""
    with pytest.raises(ValueError, match="no crontab says every"):
        converted(a_run(Every(interval_s=interval_s, since=SINCE)))


def test_recurring_run_without_a_trigger_is_refused() -> None:
    """There is nothing to convert."""
    with pytest.raises(ValueError, match="neither a cron expression nor an interval"):
        converted(a_run(None))


def test_differences_are_said() -> None:
    """Seconds are rounded down, a missing day of week shifts no field, and a schedule has no end."""
    assert converted(a_run(Cron(expression="15 0 3 * * *"))).notes == (
        "it fires at second 15 of a minute, the schedule at second 0",
    )
    five = converted(a_run(Cron(expression="0 3 * * *")))
    assert (five.schedule, "takes the first for seconds" in five.notes[0]) == ("3 * * * *", True)
    bounded = converted(a_run(Every(interval_s=86400, since=SINCE.replace(second=5)), ends_at=END))
    assert [note.split(" ")[0:2] for note in bounded.notes] == [["it", "fires"], ["the", "recurring"], ["the", "recurring"]]
    assert "ends at 2029-01-01 00:00 UTC" in bounded.notes[2]


def test_timezone_is_part_of_the_answer() -> None:
    """Kubeflow Pipelines counts in UTC; the model's own timezone may be another one."""
    assert converted(a_run(Cron(expression="0 0 3 * * *"))).timezone == "UTC"


@pytest.mark.parametrize(
    ("interval_s", "words"),
    [
        (60, "every minute"),
        (90, "every 90 seconds"),
        (5400, "every 90 minutes"),
        (172800, "every 2 days"),
        (604800, "every week"),
    ],
)
def test_interval_is_told_in_its_largest_unit(interval_s: int, words: str) -> None:
    """As people say it."""
    assert str(Every(interval_s=interval_s, since=SINCE)) == words
