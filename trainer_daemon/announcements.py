"""Who told of a drop first: what a listing finds and no notification tells of for too long was missed by notifications.

What is promised of the telling: each drop at most once, over any number of restarts, because only the process that puts it on
record waits for its notification. A process that is killed while it waits takes the warning with it, never the drop.
"""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from trainer_daemon.policy.events import Event

Clock = Callable[[], datetime]


class Announcements:
    """The drops that a listing found first, until they are announced or overdue. Sources and listings use it from their threads.

    Args:
        patience: How long after a listing found a drop its notification may come.
        clock: Now, in UTC.
    """

    def __init__(self, patience: timedelta, clock: Clock) -> None:
        self._patience = patience
        self._clock = clock
        self._lock = threading.Lock()
        self._awaited: dict[str, tuple[Event, datetime]] = {}
        self._since: datetime | None = None

    def begin(self, since: datetime | None = None) -> None:
        """Notifications are on; what came before cannot be missed by them.

        Args:
            since: When an earlier process began, whose notifications are kept for this one; otherwise now. The first call counts.
        """
        with self._lock:
            self._since = self._since or since or self._clock()

    def expect(self, event: Event) -> None:
        """A listing has found a drop, and is about to record it: a notification ought to come."""
        with self._lock:
            if self._since is not None and event.occurred_at > self._since:
                self._awaited[event.id] = event, self._clock()

    def announce(self, event_id: str) -> None:
        """A notification has come, somebody recorded the drop before, or it has been told that none came."""
        with self._lock:
            self._awaited.pop(event_id, None)

    def announce_all(self) -> None:
        """A notification that names nothing: something has changed."""
        with self._lock:
            self._awaited.clear()

    def overdue(self) -> tuple[Event, ...]:
        """The drops that nobody has told this process of in time; of several daemons another one may know better."""
        with self._lock:
            latest = self._clock() - self._patience
            return tuple(event for event, found_at in self._awaited.values() if found_at < latest)
