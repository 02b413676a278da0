"""What a crontab line means, and that it fires once a day whatever the clocks do."""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger
from hypothesis import given
from hypothesis import strategies as st

from trainer_daemon.config_values import validate_schedule
from trainer_daemon.policy.crontab import Crontab, last_fire, next_fire, parse_crontab, schedule_event
from trainer_daemon.policy.events import EventKind, Source

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)
DST_ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Nuuk",
    "America/Havana",
    "Asia/Beirut",
    "Antarctica/Troll",
)
EVERY_DAY = frozenset(range(1, 32))
EVERY_MONTH = frozenset(range(1, 13))
EVERY_WEEKDAY = frozenset(range(7))

zones = st.sampled_from(DST_ZONES).map(ZoneInfo)
instants = st.datetimes(datetime(2025, 1, 1), datetime(2034, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive


def numbers(low: int, high: int) -> st.SearchStrategy[list[int]]:
    """A few of the numbers that a field may hold, sorted."""
    return st.lists(st.integers(low, high), min_size=1, max_size=4, unique=True).map(sorted)


def listed(values: list[int] | None) -> str:
    """A field as it is written; None is `*`."""
    return "*" if values is None else ",".join(map(str, values))


def fires(text: str, zone: ZoneInfo, first: date, days: int) -> Iterator[datetime]:
    """The fires of a schedule within some local days, in local time."""
    crontab = parse_crontab(text)
    start, end = (datetime.combine(day, time(), zone).astimezone(UTC) for day in (first, first + timedelta(days=days)))
    return (fire.astimezone(zone) for fire in takewhile(lambda fire: fire < end, each(crontab, start - INSTANT, zone)))


def each(crontab: Crontab, after: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """The fires of a schedule after a time, without end."""
    while True:
        after = next_fire(crontab, after, zone=zone)
        yield after


def shown(text: str, zone: str, day: str) -> list[str]:
    """The fires of one local day as clocks show them, with the offset from UTC."""
    return [fire.strftime("%H:%M%z") for fire in fires(text, ZoneInfo(zone), date.fromisoformat(day), 1)]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("0 3 * * *", ([0], [3], EVERY_DAY, EVERY_MONTH, EVERY_WEEKDAY)),
        ("*/15 8-18/5 1,15 */6 *", ([0, 15, 30, 45], [8, 13, 18], [1, 15], [1, 7], EVERY_WEEKDAY)),
        ("0 0 * Jan,mar-MAY mon-fri", ([0], [0], EVERY_DAY, [1, 3, 4, 5], [1, 2, 3, 4, 5])),
        ("0 0 * * 0", ([0], [0], EVERY_DAY, EVERY_MONTH, [0])),
        ("0 0 * * 7", ([0], [0], EVERY_DAY, EVERY_MONTH, [0])),
        ("0 0 * * sun", ([0], [0], EVERY_DAY, EVERY_MONTH, [0])),
        ("0 0 * * 5-7", ([0], [0], EVERY_DAY, EVERY_MONTH, [0, 5, 6])),
        ("0 0 * * sun-tue,6", ([0], [0], EVERY_DAY, EVERY_MONTH, [0, 1, 2, 6])),
        ("0 0 * * */2", ([0], [0], EVERY_DAY, EVERY_MONTH, [0, 2, 4, 6])),
        ("59 23 31 12 6", ([59], [23], [31], [12], [6])),
    ],
)
def test_fields_mean_what_crontab_says(text: str, meant: tuple[list[int], ...]) -> None:
    """Numbers, names, ranges, lists and steps become the values they stand for; Sunday is 0 and 7."""
    crontab = parse_crontab(text)
    assert (crontab.minutes, crontab.hours, crontab.days, crontab.months, crontab.weekdays) == tuple(map(frozenset, meant))


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
    ],
)
def test_name_stands_for_five_fields(name: str, fields: str) -> None:
    """A name is short for the fields that crontab(5) lists."""
    assert parse_crontab(name) == parse_crontab(fields)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("60 * * * *", 'its minute "60" is out of range; allowed are 0 to 59, *, ranges'),
        ("0 24 * * *", 'its hour "24" is out of range; allowed are 0 to 23'),
        ("0 0 0 * *", 'its day of month "0" is out of range; allowed are 1 to 31'),
        ("0 0 1 13 *", 'its month "13" is out of range; allowed are 1 to 12 or jan to dec'),
        ("0 0 * * 8", 'its day of week "8" is out of range; allowed are 0 to 7 or sun to sat'),
        ("0 0 * * monday", 'its day of week "monday" cannot be read'),
        ("0 0 mon * *", 'its day of month "mon" cannot be read'),
        ("0 0 ? * *", 'its day of month "?" cannot be read'),
        ("0 0 L * *", 'its day of month "L" cannot be read'),
        ("0 0 * * 1#2", 'its day of week "1#2" cannot be read'),
        ("1,,2 * * * *", 'its minute "" cannot be read'),
        ("*-5 * * * *", 'its minute "*-5" cannot be read'),
        ("-5 * * * *", 'its minute "-5" cannot be read'),
        ("٣ * * * *", 'its minute "٣" cannot be read'),
        (f"{'9' * 5000} * * * *", "cannot be read"),
        ("0 0 * * sat-sun", 'its day of week "sat-sun" is a range that runs backwards'),
        ("30-10 * * * *", 'its minute "30-10" is a range that runs backwards'),
        ("5/15 * * * *", 'its minute "5/15" is a step without a range, as in 5-59/15'),
        ("*/0 * * * *", 'its minute "*/0" has a step that does not fit into its range'),
        ("*/90 * * * *", 'its minute "*/90" has a step that does not fit into its range'),
        ("0 0 * * */7", 'its day of week "*/7" has a step that does not fit into its range'),
        ("0 0 30 2 *", 'it would never fire: month "2" has no day of month "30"'),
        ("0 0 31 4,jun,9,11 *", 'it would never fire: month "4,jun,9,11" has no day of month "31"'),
        ("@reboot", "the only names are @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually"),
        ("0 3 * *", "must have five fields (minute, hour, day of month, month, day of week)"),
        ("0 0 3 * * *", "it has 6"),
        ("", "it has 0"),
    ],
)
def test_what_is_no_crontab_is_refused_with_a_reason(text: str, sentence: str) -> None:
    """The sentence names the field, quotes what is wrong and says what is allowed."""
    with pytest.raises(ValueError, match=re.escape(sentence)):
        parse_crontab(text)


@given(st.text("0123456789*/,-@ jansudey", max_size=24))
def test_any_text_is_understood_or_refused(text: str) -> None:
    """Whatever is written either fires some day or is a ValueError, never another error and never an endless search."""
    try:
        crontab = parse_crontab(text)
    except ValueError:
        return
    assert next_fire(crontab, NOW, zone=UTC) > NOW


@pytest.mark.parametrize("text", ["0 3 29 2 *", "0 3 30 2 mon", "0 3 29 2 */6"])
def test_rare_dates_are_found(text: str) -> None:
    """A leap day counts, and a date that does not exist is no mistake where a weekday may match instead."""
    crontab = parse_crontab(text)
    assert last_fire(crontab, NOW, zone=UTC) < NOW < next_fire(crontab, NOW, zone=UTC)


def test_restricted_day_of_month_and_day_of_week_are_alternatives() -> None:
    """When both are restricted either may match: the 13th, and every Friday."""
    days = [fire.day for fire in fires("0 0 13 * 5", ZoneInfo("UTC"), date(2026, 3, 1), 31)]
    assert days == [6, 13, 20, 27]
    assert [fire.day for fire in fires("0 0 13 * 5", ZoneInfo("UTC"), date(2026, 4, 1), 30)] == [3, 10, 13, 17, 24]


def test_day_field_that_begins_with_a_star_restricts_the_other() -> None:
    """Vixie cron counts `*/2` as a star: odd days that are Mondays."""
    assert [fire.day for fire in fires("0 0 */2 * 1", ZoneInfo("UTC"), date(2026, 3, 1), 31)] == [9, 23]


def apscheduler_trigger(minutes: str, hours: str, days: list[int] | None, months: str, weekdays: list[int] | None) -> OrTrigger:
    """The same schedule in APScheduler's terms, where days are ANDed and Monday is 0."""
    common = {"minute": minutes, "hour": hours, "month": months, "timezone": UTC}
    monday_first = None if weekdays is None else [(day - 1) % 7 for day in weekdays]
    if days is None or weekdays is None:
        return OrTrigger([CronTrigger(**common, day=listed(days), day_of_week=listed(monday_first))])
    return OrTrigger([CronTrigger(**common, day=listed(days)), CronTrigger(**common, day_of_week=listed(monday_first))])


@given(
    minutes=numbers(0, 59),
    hours=st.none() | numbers(0, 23),
    days=st.none() | numbers(1, 28),
    months=st.none() | numbers(1, 12),
    weekdays=st.none() | numbers(0, 7),
    after=instants,
)
def test_fires_when_apscheduler_does_where_clocks_never_change(
    minutes: list[int],
    hours: list[int] | None,
    days: list[int] | None,
    months: list[int] | None,
    weekdays: list[int] | None,
    after: datetime,
) -> None:
    """In UTC an independent implementation, told the same in its own terms, agrees on three fires in a row."""
    crontab = parse_crontab(" ".join(map(listed, (minutes, hours, days, months, weekdays))))
    trigger = apscheduler_trigger(listed(minutes), listed(hours), days, listed(months), weekdays)
    for _ in range(3):
        expected = trigger.get_next_fire_time(None, after + INSTANT)
        after = next_fire(crontab, after, zone=UTC)
        assert after == expected


@given(hour=st.integers(0, 23), minute=st.integers(0, 59), zone=zones, year=st.integers(2025, 2034))
def test_daily_schedule_fires_once_on_every_day_of_the_year(hour: int, minute: int, zone: ZoneInfo, year: int) -> None:
    """Whatever the hour and wherever clocks change, by an hour, by half of one or across midnight: one fire per local day."""
    days = (date(year + 1, 1, 1) - date(year, 1, 1)).days
    per_day = Counter(fire.date() for fire in fires(f"{minute} {hour} * * *", zone, date(year, 1, 1), days))
    assert set(per_day.values()) == {1}
    assert len(per_day) == days


@given(
    text=st.sampled_from(("0 3 * * *", "*/20 * * * *", "30 2,3 * * *", "*/30 */2 * * 1", "15 0 1 * *")),
    zone=zones,
    after=instants,
)
def test_last_fire_is_the_counterpart_of_next_fire(text: str, zone: ZoneInfo, after: datetime) -> None:
    """Between two fires the last one stays the last one, up to the instant of the next."""
    crontab = parse_crontab(text)
    last, following = last_fire(crontab, after, zone=zone), next_fire(crontab, after, zone=zone)
    assert last <= after < following
    assert last_fire(crontab, following - INSTANT, zone=zone) == last
    assert last_fire(crontab, following, zone=zone) == following
    assert next_fire(crontab, last, zone=zone) == following


@pytest.mark.parametrize(
    ("text", "zone", "day", "expected"),
    [
        ("30 2 * * *", "Europe/Berlin", "2026-03-29", ["03:30+0200"]),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25", ["02:30+0200"]),
        ("30 2 * * *", "America/New_York", "2026-03-08", ["03:30-0400"]),
        ("30 1 * * *", "America/New_York", "2026-11-01", ["01:30-0400"]),
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-04", ["02:45+1100"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-05", ["01:45+1100"]),
        ("30 23 * * *", "America/Nuuk", "2026-03-28", ["22:30-0200"]),
        ("30 2,3 * * *", "Europe/Berlin", "2026-03-29", ["03:30+0200"]),
        ("*/30 2 * * *", "Europe/Berlin", "2026-10-25", ["02:00+0200", "02:30+0200"]),
    ],
)
def test_time_of_day_happens_once_when_clocks_change(text: str, zone: str, day: str, expected: list[str]) -> None:
    """A skipped time is moved by the change, within its day; of a repeated time the first counts."""
    assert shown(text, zone, day) == expected


@pytest.mark.parametrize(("day", "expected"), [("2026-03-29", 23), ("2026-03-30", 24), ("2026-10-25", 25)])
def test_hourly_schedule_follows_the_hours_that_pass(day: str, expected: int) -> None:
    """Hourly means every hour that passes, also the repeated one."""
    fired = list(fires("5 * * * *", ZoneInfo("Europe/Berlin"), date.fromisoformat(day), 1))
    assert len(fired) == expected
    assert {later.astimezone(UTC) - sooner.astimezone(UTC) for sooner, later in pairwise(fired)} == {timedelta(hours=1)}


def test_day_that_a_zone_skipped_has_no_fire() -> None:
    """Samoa went from 29 to 31 December 2011: a daily job fired on both, once each."""
    days = [fire.day for fire in fires("0 12 * * *", ZoneInfo("Pacific/Apia"), date(2011, 12, 28), 5)]
    assert days == [28, 29, 31, 1]


def test_fires_are_told_in_utc() -> None:
    """Every caller gets the same spelling of an instant, in whatever zone it asks."""
    berlin = ZoneInfo("Europe/Berlin")
    crontab = parse_crontab("0 3 * * *")
    assert last_fire(crontab, NOW.astimezone(berlin), zone=berlin).isoformat() == "2026-03-01T02:00:00+00:00"
    assert next_fire(crontab, NOW.astimezone(berlin), zone=berlin).isoformat() == "2026-03-02T02:00:00+00:00"


def test_event_of_a_fire_has_the_same_id_in_every_zone() -> None:
    """The id is made of the nominal instant, so that replicas and restarts make the same one."""
    event = schedule_event("churn", "0 3 * * *", NOW, retrain=False)
    elsewhere = schedule_event("churn", "0 3 * * *", NOW.astimezone(ZoneInfo("Asia/Tokyo")), retrain=False)
    assert event.id == elsewhere.id == "cron:churn:0 3 * * *@2026-03-01T12:00:00+00:00"
    assert (event.kind, event.source, event.model, event.occurred_at) == (EventKind.SCHEDULE, Source.CRON, "churn", NOW)


def test_fire_only_asks_for_a_run_when_it_is_to_retrain() -> None:
    """`if_changed` has its say recorded and starts nothing; `always` wants a run although an equal one exists."""
    listed_only = schedule_event("churn", "@daily", NOW, retrain=False)
    always = schedule_event("churn", "@daily", NOW, retrain=True)
    assert (listed_only.force, listed_only.skip) == (False, 'on_schedule = "if_changed": the bucket was listed')
    assert (always.force, always.skip) == (True, "")


def test_spaces_of_a_schedule_do_not_count() -> None:
    """The same fields, spaced in another way, make the same event."""
    spaced = " 0  3 * *\t* "
    assert parse_crontab(spaced) == parse_crontab("0 3 * * *")
    assert schedule_event("churn", spaced, NOW, retrain=True) == schedule_event("churn", "0 3 * * *", NOW, retrain=True)


@pytest.mark.parametrize("value", ["", "@daily", "30 2 * * mon-fri"])
def test_configured_schedule_is_kept(value: str) -> None:
    """No schedule, a name and five fields pass the configuration as they are."""
    assert validate_schedule(value) == value


def test_configured_schedule_that_is_wrong_is_refused() -> None:
    """The configuration refuses what could not be run."""
    with pytest.raises(ValueError, match='its hour "25" is out of range'):
        validate_schedule("0 25 * * *")
