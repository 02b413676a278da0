"""From what is in a bucket to events in the ledger: durable first. Nothing is decided here but whether it is an event at all."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from structlog.typing import FilteringBoundLogger

from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.announcements import Announcements
from trainer_daemon.policy.events import Event, EventKind, Rejection, Source, drop_event_id, history_to_skip, no_drop
from trainer_daemon.ports import Bucket, Found, Ignored, Incomplete, Listed

Clock = Callable[[], datetime]
PATIENCE = timedelta(minutes=1)
"""A drop that is being written for longer is worth a line."""
FOREIGN_MAX = 100
"""Of so many objects that are not named like drops a process tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What one listing came to.

    Attributes:
        recorded: New events.
        incomplete: Objects that somebody is still writing; look again soon.
    """

    recorded: int
    incomplete: int


class Intake:
    """Records what is in one model's bucket.

    Args:
        model: Its name.
        bucket: Where its drops arrive.
        start_from: How much of what the very first listing finds is trained.
        ledger: Where events go.
        announcements: Which drops notifications have told of.
        clock: Now, in UTC.
        log: Bound to the model.
        on_missed: Called with the time of the newest drop that notifications did not tell of in time.
    """

    def __init__(  # noqa: PLR0913 - all of it is needed
        self,
        *,
        model: str,
        bucket: Bucket,
        start_from: str,
        ledger: Ledger,
        announcements: Announcements,
        clock: Clock,
        log: FilteringBoundLogger,
        on_missed: Callable[[datetime], None] = lambda _: None,
    ) -> None:
        self._model = model
        self._bucket = bucket
        self._start_from = start_from
        self._ledger = ledger
        self._announcements = announcements
        self._clock = clock
        self._log = log
        self._on_missed = on_missed
        self._incomplete_since: dict[str, datetime] = {}
        self._told: set[str] = set()
        self._foreign: set[str] = set()

    def list_bucket(self, source: Source) -> Listing:
        """Compare the bucket with the ledger, page by page, and record what is new.

        Raises:
            TemporaryError: Bucket or ledger cannot be reached; what was recorded until then stays.
            PermanentError: The bucket refuses to be listed.
        """
        if source is Source.WATCH:
            self._announcements.announce_all()
        history = _History(self._start_from) if self._ledger.baseline(self._model) is None else None
        recorded, listed = 0, 0
        incomplete: list[str] = []
        for page in self._bucket.list_drops(self._signatures):
            found = [item for item in page if isinstance(item, Found)]
            listed += len(found)
            incomplete += [item.name for item in page if isinstance(item, Incomplete)]
            events = history.sift(found) if history else [(item, "") for item in found]
            recorded += self._record([*self._rejections(page, source), *self._events(events, source)], source)
        if history:
            recorded += self._record(self._events(history.rest(), source), source)
            self._ledger.set_baseline(self._model, listed=listed, now=self._clock())
        self._watch_incomplete(incomplete)
        self._tell_missed()
        return Listing(recorded=recorded, incomplete=len(incomplete))

    def record_schedule(self, event: Event) -> None:
        """A schedule has fired; the bucket is to be listed besides.

        Raises:
            TemporaryError: The ledger cannot be written; the same fire has to be reported again.
        """
        (new,) = self._ledger.record([event], self._clock())
        log_received(self._log, event, new=new)

    def _signatures(self, uris: Sequence[str]) -> dict[str, str]:
        return self._ledger.signatures(self._model, uris)

    def _events(self, found: Iterable[tuple["Found", str]], source: Source) -> list[Event]:
        """Oldest period first."""
        ordered = sorted(found, key=lambda pair: (pair[0].drop.period, pair[0].modified_at, pair[0].drop.uri))
        return [self._event(item, source, skip=skip) for item, skip in ordered]

    def _event(self, item: Found, source: Source, *, skip: str) -> Event:
        return Event(
            id=drop_event_id(self._model, item.drop),
            kind=EventKind.DROP,
            model=self._model,
            source=source,
            occurred_at=item.modified_at,
            drop=item.drop,
            order=item.order,
            skip=skip,
            signature=item.signature,
        )

    def _rejections(self, page: Sequence[Listed], source: Source) -> list[Rejection]:
        """Kept once per name and reason, so that it is neither silent nor repeated at every listing."""
        now = self._clock()
        ignored = [item for item in page if isinstance(item, Ignored)]
        for item in ignored:
            if item.is_foreign:
                self._tell_foreign(item)
        return [no_drop(self._model, item.name, item.reason, source=source, at=now) for item in ignored if not item.is_foreign]

    def _tell_foreign(self, item: Ignored) -> None:
        """Somebody may have misspelt a name: one line, but not one for everything in a bucket that others use as well."""
        if item.name not in self._foreign and len(self._foreign) < FOREIGN_MAX:
            self._foreign.add(item.name)
            self._log.info("object_ignored", drop=item.name, reason=item.reason)

    def _record(self, entries: Sequence[Event | Rejection], source: Source) -> int:
        if not entries:
            return 0
        events = [entry for entry in entries if isinstance(entry, Event)]
        if source is Source.LISTING:
            for event in events:  # before they are recorded: from then on a notification may say that it came second
                self._announcements.expect(event)
        news = self._ledger.record(entries, self._clock())
        for entry, new in zip(entries, news, strict=True):
            log_received(self._log, entry, new=new)
            if isinstance(entry, Event) and not new:
                self._announcements.announce(entry.id)
        return sum(new for entry, new in zip(entries, news, strict=True) if isinstance(entry, Event))

    def _tell_missed(self) -> None:
        overdue = self._announcements.overdue()
        if not overdue:
            return
        heard = self._ledger.announced([event.id for event in overdue])
        missed = [event for event in overdue if event.id not in heard]
        for event in overdue:
            self._announcements.announce(event.id)
        for event in missed:
            drop = event.drop.ref if event.drop else None
            self._log.warning("drop_missed_by_notification", event_id=event.id, drop=drop)
        if missed:
            self._on_missed(max(event.occurred_at for event in missed))

    def _watch_incomplete(self, names: list[str]) -> None:
        """Somebody who never closes a file keeps it from being trained: say so, once."""
        now = self._clock()
        self._incomplete_since = {name: self._incomplete_since.get(name, now) for name in names}
        for name, since in self._incomplete_since.items():
            if now - since > PATIENCE and name not in self._told:
                self._log.warning("drop_incomplete", drop=name, since=since.isoformat())
        self._told = {name for name, since in self._incomplete_since.items() if now - since > PATIENCE}


class _History:
    """What the very first listing of a bucket finds, and how much of it counts.

    The newest period is known only at the end, so with `start_from = "newest"` its few drops are held back until then.
    """

    def __init__(self, start_from: str) -> None:
        self._start_from = start_from
        self._newest: list[Found] = []

    def sift(self, found: Sequence[Found]) -> list[tuple[Found, str]]:
        """What can be recorded by now, each with why it is not to be trained, if it is not."""
        known = [*self._newest, *found]
        skipped = history_to_skip(tuple(item.drop for item in known), self._start_from)
        if self._start_from == "newest":
            self._newest = [item for item in known if item.drop.ref not in skipped]
            known = [item for item in known if item.drop.ref in skipped]
        why = f"older than start_from = {self._start_from}"
        return [(item, why if item.drop.ref in skipped else "") for item in known]

    def rest(self) -> list[tuple[Found, str]]:
        """What was held back."""
        return [(item, "") for item in self._newest]


def log_received(log: FilteringBoundLogger, entry: Event | Rejection, *, new: bool) -> None:
    """The one line about something that was received."""
    event = entry.event if isinstance(entry, Rejection) else entry
    drop = entry.subject if isinstance(entry, Rejection) else entry.drop.ref if entry.drop else None
    if not new:
        log.debug("event_duplicated", event_id=event.id, drop=drop, reason="recorded before")
    elif isinstance(entry, Rejection):
        log.warning("event_rejected", event_id=event.id, drop=drop, reason=entry.why)
    else:
        log.info("event_recorded", event_id=event.id, drop=drop, source=event.source)
