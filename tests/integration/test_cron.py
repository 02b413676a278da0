"""The cron source on the real APScheduler, with a clock of the test's."""

import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from structlog.testing import LogCapture

from trainer_daemon.adapters.cron import CronSchedule, CronSource
from trainer_daemon.errors import PermanentError, TemporaryError
from trainer_daemon.policy.crontab import schedule_event

SUNDAY_NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TODAY, TOMORROW = SUNDAY_NOON.replace(hour=2), SUNDAY_NOON.replace(day=2, hour=2)
DAILY = CronSchedule(text="0 3 * * *", timezone="Europe/Berlin")
DEADLINE_S = 240.0
Ticks = Callable[[], datetime]
Start = Callable[..., CronSource]


class Clock:
    """A clock that is moved by hand, and counts how often it is read."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.reads = 0

    def __call__(self) -> datetime:
        """The time it was set to."""
        self.reads += 1
        return self.now


class Fires:
    """What a source has reported; refuses as often as it is told to."""

    def __init__(self, *refusals: Exception) -> None:
        self.times: list[datetime] = []
        self.refused = 0
        self._refusals = list(refusals)

    def __call__(self, fired_at: datetime) -> None:
        """Take a fire."""
        if self._refusals:
            self.refused += 1
            raise self._refusals.pop(0)
        self.times.append(fired_at)


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + DEADLINE_S
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        pause.wait(0.005)


def wait_for_looks(clock: Clock) -> None:
    """Wait until the source has certainly looked at the clock as it stands now: a look and its rest read it twice."""
    before = clock.reads
    wait_for(lambda: clock.reads >= before + 10)


@pytest.fixture
def lines() -> LogCapture:
    """What the sources have logged."""
    return LogCapture()


@pytest.fixture
def started(lines: LogCapture) -> Iterator[Start]:
    """Starts sources that look often, and closes them in the end."""
    log = structlog.wrap_logger(None, processors=[lines])
    with ExitStack() as stack:

        def start(
            schedule: CronSchedule, fires: Fires, clock: Ticks, *, look_s: float = 0.01, chance: random.Random | None = None
        ) -> CronSource:
            source = CronSource(schedule, fires, clock=clock, log=log, look_s=look_s, chance=chance)
            stack.callback(source.close)
            source.start()
            return source

        yield start


def test_fire_is_reported_when_its_time_comes(started: Start) -> None:
    """The source sleeps until the very fire, far longer than the test waits if it slept to the next regular look."""
    fires, begun = Fires(), list[float]()

    def clock() -> datetime:
        """Runs from when the fire that was missed has been caught up, however long the start took until then."""
        if fires.times and not begun:
            begun.append(time.monotonic())
        return TOMORROW - timedelta(seconds=0.3) + timedelta(seconds=time.monotonic() - begun[0] if begun else 0.0)

    started(DAILY, fires, clock, look_s=3600.0)
    wait_for(lambda: len(fires.times) == 2)
    assert fires.times == [TODAY, TOMORROW]
    assert time.monotonic() - begun[0] >= 0.3


def test_last_missed_fire_is_caught_up_before_start_returns(started: Start) -> None:
    """What a daemon missed while it was down is on record before it can believe itself idle; only the last fire is."""
    fires = Fires()
    started(DAILY, fires, Clock(SUNDAY_NOON), look_s=3600.0)
    assert fires.times == [TODAY]


@pytest.mark.parametrize(("since", "expected"), [(TODAY, []), (TODAY - timedelta(seconds=1), [TODAY])])
def test_what_fired_before_the_source_counts_is_not_caught_up(started: Start, since: datetime, expected: list[datetime]) -> None:
    """A new installation starts with the next fire."""
    fires, clock = Fires(), Clock(SUNDAY_NOON)
    started(CronSchedule(text=DAILY.text, timezone=DAILY.timezone, since=since), fires, clock)
    wait_for_looks(clock)
    assert fires.times == expected


def test_machine_that_slept_catches_up_once(started: Start) -> None:
    """The clock jumps over ten fires: the last is reported, and nothing twice."""
    fires, clock = Fires(), Clock(SUNDAY_NOON)
    started(DAILY, fires, clock)
    clock.now += timedelta(days=10)
    wait_for(lambda: len(fires.times) > 1)
    wait_for_looks(clock)
    assert fires.times == [TODAY, TODAY + timedelta(days=10)]


def test_clock_that_is_set_back_repeats_nothing(started: Start) -> None:
    """Fires that a corrected clock meets again were reported already."""
    fires, clock = Fires(), Clock(SUNDAY_NOON)
    started(DAILY, fires, clock)
    clock.now -= timedelta(days=2)
    wait_for_looks(clock)
    clock.now += timedelta(days=3)
    wait_for(lambda: len(fires.times) > 1)
    assert fires.times == [TODAY, TOMORROW]


def test_repeated_autumn_hour_fires_once(started: Start) -> None:
    """Both times that clocks show 02:30 pass; the day is over with one fire."""
    fires, clock = Fires(), Clock(datetime(2026, 10, 24, 12, 0, tzinfo=UTC))
    schedule = CronSchedule(text="30 2 * * *", timezone="Europe/Berlin", since=clock.now)
    started(schedule, fires, clock)
    for _ in range(48):
        clock.now += timedelta(minutes=30)
        wait_for_looks(clock)
    assert fires.times == [datetime(2026, 10, 25, 0, 30, tzinfo=UTC)]


def test_jitter_delays_a_fire_but_not_its_identity(started: Start) -> None:
    """Nothing happens before the delay that was drawn; afterwards the nominal time is told."""
    schedule = CronSchedule(text=DAILY.text, timezone=DAILY.timezone, jitter_s=100.0, since=SUNDAY_NOON)
    delay = timedelta(seconds=random.Random(7).uniform(0.0, 100.0))
    fires, clock = Fires(), Clock(TOMORROW + delay - timedelta(milliseconds=1))
    started(schedule, fires, clock, chance=random.Random(7))
    wait_for_looks(clock)
    assert fires.times == []
    clock.now = TOMORROW + delay
    wait_for(lambda: bool(fires.times))
    assert fires.times == [TOMORROW]


def test_replicas_and_restarts_make_the_same_event(started: Start) -> None:
    """Two sources with other delays, and a third that starts much later, make one event id."""
    schedule = CronSchedule(text=DAILY.text, timezone=DAILY.timezone, jitter_s=600.0)
    fires, clock = Fires(), Clock(TOMORROW + timedelta(seconds=600))
    for seed in (1, 2):
        started(schedule, fires, clock, chance=random.Random(seed))
    clock.now += timedelta(hours=9, microseconds=1)
    started(schedule, fires, clock)
    assert len(fires.times) == 3
    assert {schedule_event("churn", DAILY.text, fired_at, retrain=True).id for fired_at in fires.times} == {
        "cron:churn:0 3 * * *@2026-03-02T02:00:00+00:00"
    }


def test_fire_that_could_not_be_recorded_is_reported_again(started: Start, lines: LogCapture) -> None:
    """A ledger that is away for three looks delays the fire, loses nothing and is said so each time."""
    fires = Fires(
        TemporaryError("the ledger is locked"), PermanentError("the ledger is read-only"), TemporaryError("still locked")
    )
    started(DAILY, fires, Clock(SUNDAY_NOON))
    wait_for(lambda: bool(fires.times))
    assert (fires.refused, fires.times) == (3, [TODAY])
    assert [(line["event"], line["log_level"]) for line in lines.entries] == [("schedule_deferred", "warning")] * 3
    assert lines.entries[0]["reason"] == "the ledger is locked"


def test_closed_source_is_silent_and_leaves_no_thread(started: Start) -> None:
    """After close no fire is reported, and the threads have ended."""
    threads = set(threading.enumerate())
    fires, clock = Fires(), Clock(SUNDAY_NOON)
    source = started(DAILY, fires, clock)
    wait_for_looks(clock)
    source.close()
    clock.now += timedelta(days=1)
    wait_for(lambda: set(threading.enumerate()) <= threads)
    assert fires.times == [TODAY]


def test_close_of_a_source_that_never_started_is_no_error() -> None:
    """A start-up that fails elsewhere closes what it has built."""
    CronSource(DAILY, Fires(), clock=Clock(SUNDAY_NOON), log=structlog.wrap_logger(None)).close()


def test_scheduler_is_not_imported_with_the_configuration() -> None:
    """Reading and checking schedules costs no import of APScheduler."""
    code = "import sys; import trainer_daemon.config, trainer_daemon.policy.crontab; print('apscheduler' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240)
    assert shown.stdout.strip() == "False"


def test_clock_of_the_machine_that_is_set_back_does_not_stop_the_looks(started: Start) -> None:
    """APScheduler plans by that clock: what it had planned is then as far away as the clock was set back."""
    clock = Clock(SUNDAY_NOON)
    source = started(DAILY, Fires(), clock, look_s=0.1)
    wait_for_looks(clock)
    for job in source._scheduler.get_jobs():
        job.modify(next_run_time=datetime.now(UTC) + timedelta(days=1))
    wait_for_looks(clock)
