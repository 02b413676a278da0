"""Cron: APScheduler's thread watches the clock; when a schedule fires is said by `policy.crontab`, what follows by `on_fire`."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from structlog.typing import FilteringBoundLogger

from trainer_daemon.errors import PermanentError, TemporaryError
from trainer_daemon.policy.crontab import last_fire, next_fire, parse_crontab
from trainer_daemon.telemetry.vitals import Pulse

Clock = Callable[[], datetime]

LOOK_S = 30.0
"""The longest sleep: while a machine is suspended a thread's sleep does not pass, and a clock may be set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CronSchedule:
    """When a source fires.

    Attributes:
        text: Five crontab fields or a name such as `@daily`.
        timezone: Name of the time zone that the fields are read in.
        jitter_s: A fire is acted on up to so much later; its identity, the nominal time, does not change.
        since: What fired at this time or before is not caught up; None catches the last fire up, however old.
    """

    text: str
    timezone: str
    jitter_s: float = 0.0
    since: datetime | None = None


class CronSource:
    """Calls `on_fire` with the nominal time, in UTC, of a schedule's last fire, once per fire.

    Level-based: every look asks what the last fire was, and acts when it is another one than before. What was missed meanwhile -
    the daemon was down, the machine slept, the ledger could not be written - is therefore caught up by one call, not by many.

    Args:
        schedule: When to fire.
        on_fire: Records the event; a fire for which it raised TemporaryError or PermanentError is reported again.
        clock: Aware time of now.
        log: Bound to the model.
        look_s: The longest time between two looks.
        chance: Where jitter comes from.
        pulse: Is told of every look.
    """

    def __init__(
        self,
        schedule: CronSchedule,
        on_fire: Callable[[datetime], None],
        *,
        clock: Clock,
        log: FilteringBoundLogger,
        look_s: float = LOOK_S,
        chance: random.Random | None = None,
        pulse: Pulse | None = None,
    ) -> None:
        self._crontab = parse_crontab(schedule.text)
        self._zone = ZoneInfo(schedule.timezone)
        self._jitter_s = schedule.jitter_s
        self._on_fire = on_fire
        self._clock = clock
        self._log = log
        self._look_s = look_s
        self._chance = chance or random.Random()  # noqa: S311 - jitter, no secret
        self._pulse = pulse or Pulse("cron")
        self._seen = schedule.since
        self._delay = self._draw()
        # a time zone of its own keeps APScheduler from guessing the machine's, which a container may not have
        self._scheduler = _Scheduler(look_s, timezone=UTC, executors={"default": ThreadPoolExecutor(1)})

    def start(self) -> None:
        """Catch up what was missed before, then watch the clock."""
        self._look()
        self._scheduler.add_job(self._look, _Looks(self._rest_s), misfire_grace_time=None, coalesce=True, max_instances=1)
        self._scheduler.start()

    def close(self) -> None:
        """End; nothing fires after it."""
        self._pulse.rest(None)
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)

    def _look(self) -> None:
        self._pulse.rest(self._look_s)
        fired_at = last_fire(self._crontab, self._clock() - self._delay, zone=self._zone)
        if self._seen is not None and fired_at <= self._seen:
            return
        try:
            self._on_fire(fired_at)
        except (TemporaryError, PermanentError) as exc:
            self._log.warning("schedule_deferred", fired_at=fired_at.isoformat(), reason=str(exc), retry_in_s=self._look_s)
            return
        self._seen = fired_at
        self._delay = self._draw()

    def _rest_s(self) -> float:
        """Seconds until the next look."""
        shifted = self._clock() - self._delay
        until_fire = next_fire(self._crontab, shifted, zone=self._zone) - shifted
        return min(self._look_s, until_fire.total_seconds())

    def _draw(self) -> timedelta:
        return timedelta(seconds=self._chance.uniform(0.0, self._jitter_s))


class _Scheduler(BackgroundScheduler):  # type: ignore[misc]  # APScheduler has no types
    """APScheduler sleeps until a time of the wall clock: when that is set back a day, it would sleep for a day.

    Args:
        look_s: No look is further away.
    """

    def __init__(self, look_s: float, **options: Any) -> None:  # noqa: ANN401 - the library's
        self._look_s = look_s
        super().__init__(**options)

    def _process_jobs(self) -> float:
        now = datetime.now(UTC)
        for job in self.get_jobs():
            if (job.next_run_time - now).total_seconds() > self._look_s:
                job.modify(next_run_time=now)
        wait_s = super()._process_jobs()
        return self._look_s if wait_s is None else min(self._look_s, wait_s)


class _Looks(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
    """A trigger of our own: CronTrigger counts weekdays from Monday, ANDs the days, and fires twice in a repeated hour."""

    def __init__(self, rest_s: Callable[[], float]) -> None:
        self._rest_s = rest_s

    def get_next_fire_time(self, _previous: datetime | None, now: datetime) -> datetime:
        """The next look, seen from now: looks that were missed are not made up for, one shows everything."""
        return now + timedelta(seconds=self._rest_s())
