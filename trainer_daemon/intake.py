"""From what is in a bucket to events in the ledger: durable first. Nothing is decided here but whether it is an event at all."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from structlog.typing import FilteringBoundLogger

from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.policy.events import Event, EventKind, Source, drop_event_id, history_to_skip
from trainer_daemon.ports import Bucket, Found, Ignored, Incomplete

Clock = Callable[[], datetime]
BATCH = 200
NOTICE = timedelta(seconds=5)
"""What is younger than this and found by a listing first was not missed: its notification is on its way."""
PATIENCE = timedelta(minutes=1)
"""A drop that is being written for longer is worth a line."""


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
    """Records what is in one model's bucket."""

    def __init__(
        self, *, model: str, bucket: Bucket, start_from: str, ledger: Ledger, clock: Clock, log: FilteringBoundLogger
    ) -> None:
        self._model = model
        self._bucket = bucket
        self._start_from = start_from
        self._ledger = ledger
        self._clock = clock
        self._log = log.bind(model=model)
        self._watching_since: datetime | None = None
        self._incomplete_since: dict[str, datetime] = {}
        self._told: set[str] = set()
        self._ignored: set[str] = set()

    def watching(self) -> None:
        """Notifications are on from now: what a listing finds first from here on was missed by them."""
        self._watching_since = self._clock()

    def list_bucket(self, source: Source) -> Listing:
        """Compare the bucket with the ledger and record what is new.

        Raises:
            TemporaryError: Bucket or ledger cannot be reached.
        """
        found: list[Found] = []
        incomplete: list[str] = []
        known = self._ledger.known_drops(self._model)
        for item in self._bucket.list_drops(known):
            match item:
                case Found() if known.get(item.drop.uri) != (item.signature, item.drop):
                    found.append(item)
                case Found():
                    pass
                case Ignored():
                    self._ignore(item, source)
                case Incomplete():
                    incomplete.append(item.name)
        recorded = self._record(self._events(found, source))
        self._watch_incomplete(incomplete)
        return Listing(recorded=recorded, incomplete=len(incomplete))

    def _watch_incomplete(self, names: list[str]) -> None:
        """Somebody who never closes a file keeps it from being trained: say so, once."""
        now = self._clock()
        self._incomplete_since = {name: self._incomplete_since.get(name, now) for name in names}
        for name, since in self._incomplete_since.items():
            if now - since > PATIENCE and name not in self._told:
                self._log.warning("drop_incomplete", drop=name, since=since.isoformat())
        self._told = {name for name, since in self._incomplete_since.items() if now - since > PATIENCE}

    def record_schedule(self, event: Event) -> None:
        """A schedule has fired; the bucket is to be listed besides.

        Raises:
            TemporaryError: The ledger cannot be written; the same fire has to be reported again.
        """
        (new,) = self._ledger.record([event], self._clock())
        self._log_recorded(event, new=new)

    def _events(self, found: list[Found], source: Source) -> list[Event]:
        """Oldest period first; what the very first listing finds is history, and `start_from` says how much of it counts."""
        skipped: frozenset[str] = frozenset()
        if self._ledger.baseline(self._model) is None:
            skipped = history_to_skip(tuple(item.drop for item in found), self._start_from)
        ordered = sorted(found, key=lambda item: (item.drop.period, item.modified_at, item.drop.uri))
        return [self._event(item, source, skip=item.drop.ref in skipped) for item in ordered]

    def _event(self, item: Found, source: Source, *, skip: bool) -> Event:
        return Event(
            id=drop_event_id(self._model, item.drop),
            kind=EventKind.DROP,
            model=self._model,
            source=source,
            occurred_at=item.modified_at,
            drop=item.drop,
            order=item.order,
            skip=f"older than start_from = {self._start_from}" if skip else "",
            signature=item.signature,
        )

    def _record(self, events: list[Event]) -> int:
        recorded = 0
        for start in range(0, len(events), BATCH):
            batch = events[start : start + BATCH]
            for event, new in zip(batch, self._ledger.record(batch, self._clock()), strict=True):
                recorded += new
                self._log_recorded(event, new=new)
        if self._ledger.baseline(self._model) is None:
            self._ledger.set_baseline(self._model, listed=len(events), now=self._clock())
        return recorded

    def _log_recorded(self, event: Event, *, new: bool) -> None:
        drop = event.drop.ref if event.drop else None
        if not new:
            self._log.debug("event_duplicated", event_id=event.id, drop=drop, reason="recorded before")
            return
        self._log.info("event_recorded", event_id=event.id, drop=drop, source=event.source)
        if event.source is Source.LISTING and self._watching_since is not None and self._was_missed(event, self._watching_since):
            self._log.warning("drop_missed_by_notification", event_id=event.id, drop=drop)

    def _was_missed(self, event: Event, watching_since: datetime) -> bool:
        """It came while somebody was watching, and long enough ago for the notification to be overdue."""
        return watching_since < event.occurred_at < self._clock() - NOTICE

    def _ignore(self, item: Ignored, source: Source) -> None:
        """Kept once per name and reason, so that it is neither silent nor repeated at every listing."""
        event = Event(
            id=f"ignored:{self._model}:{item.name}: {item.reason}",
            kind=EventKind.DROP,
            model=self._model,
            source=source,
            occurred_at=self._clock(),
        )
        if event.id in self._ignored:
            return
        self._ignored.add(event.id)
        if item.is_foreign:
            self._log.info("object_ignored", drop=item.name, reason=item.reason)
            return
        if self._ledger.reject(event, item.reason, self._clock()):
            self._log.warning("event_rejected", event_id=event.id, drop=item.name, reason=item.reason)
