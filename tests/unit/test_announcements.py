from datetime import datetime, timedelta

from tests.builders import NOW, a_drop, a_drop_event
from trainer_daemon.announcements import Announcements
from trainer_daemon.policy.events import Event


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        """Now."""
        return self.now


def after(seconds: float, period: str = "2025-03") -> Event:
    """A drop that came so long after the beginning."""
    return a_drop_event(a_drop(period), occurred_at=NOW + timedelta(seconds=seconds))


def begun() -> tuple[Announcements, Clock]:
    """Notifications may take ten seconds."""
    clock = Clock()
    announcements = Announcements(timedelta(seconds=10), clock)
    announcements.begin()
    return announcements, clock


def test_drop_that_nobody_announces_in_time_is_missed_once() -> None:
    """Not while its notification may still come, and not again afterwards."""
    announcements, clock = begun()
    clock.now = NOW + timedelta(seconds=60)
    announcements.expect(after(1))
    clock.now = NOW + timedelta(seconds=70)
    assert announcements.overdue() == ()
    clock.now = NOW + timedelta(seconds=71)
    assert announcements.overdue() == (after(1),)
    announcements.announce(after(1).id)
    assert announcements.overdue() == ()


def test_what_came_while_no_process_ran_can_be_missed() -> None:
    """A subscription keeps the messages for the next one."""
    clock = Clock()
    announcements = Announcements(timedelta(seconds=10), clock)
    announcements.begin(NOW - timedelta(seconds=100))
    announcements.expect(after(-50))
    clock.now = NOW + timedelta(seconds=11)
    assert announcements.overdue() == (after(-50),)


def test_announced_drop_is_not_missed() -> None:
    """By its own notification, or by one that says only that something changed."""
    announcements, clock = begun()
    for period in ("2025-03", "2025-04"):
        announcements.expect(after(1, period))
    announcements.announce(after(1).id)
    clock.now = NOW + timedelta(seconds=60)
    assert announcements.overdue() == (after(1, "2025-04"),)
    announcements.expect(after(2))
    announcements.announce_all()
    assert announcements.overdue() == ()


def test_drop_from_before_notifications_began_cannot_be_missed() -> None:
    """Nor can any while nobody notifies; a second beginning does not change the first."""
    silent = Announcements(timedelta(0), Clock())
    silent.expect(after(1))
    announcements, clock = begun()
    announcements.expect(after(-1))
    clock.now = NOW + timedelta(seconds=60)
    announcements.begin()
    announcements.expect(after(30, "2025-05"))
    clock.now = NOW + timedelta(seconds=71)
    assert announcements.overdue() == (after(30, "2025-05"),)
    assert silent.overdue() == ()
