"""From the messages of one subscription to events in the ledger: one transaction for what is waiting, then it may be acked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from structlog.typing import FilteringBoundLogger

from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.announcements import Announcements
from trainer_daemon.intake import log_received
from trainer_daemon.policy.events import Event, Rejection
from trainer_daemon.policy.notifications import Message, Reading, Route, read_message

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlet:
    """A model that messages may be about.

    Attributes:
        on_recorded: Called when there is something new for it.
    """

    route: Route
    announcements: Announcements
    on_recorded: Callable[[], None]


class Inbox:
    """Understands and records messages.

    Args:
        subscription: Where they are delivered.
        outlets: The models whose drops they may tell of.
        ledger: Where events go.
        clock: Now, in UTC.
        log: For what is received.
    """

    def __init__(
        self, subscription: str, outlets: Sequence[Outlet], *, ledger: Ledger, clock: Clock, log: FilteringBoundLogger
    ) -> None:
        self._subscription = subscription
        self._outlets = {outlet.route.model: outlet for outlet in outlets}
        self._routes = tuple(outlet.route for outlet in outlets)
        self._ledger = ledger
        self._clock = clock
        self._log = log

    @property
    def listed(self) -> bool:
        """Whether every model's bucket has been listed once: until then, what a message tells of may be history."""
        return all(self._ledger.baseline(model) is not None for model in self._outlets)

    def began(self) -> None:
        """Messages are delivered from now on."""
        for outlet in self._outlets.values():
            outlet.announcements.begin()

    def receive(self, messages: Sequence[Message]) -> None:
        """Write down what the messages say; when it returns, they may be acknowledged.

        Raises:
            TemporaryError: The ledger cannot be written; nothing was.
            PermanentError: The ledger refuses; nothing was written.
        """
        readings = [read_message(message, self._routes, subscription=self._subscription) for message in messages]
        entries = [entry for reading in readings for entry in reading.records]
        news = self._ledger.record(entries, self._clock()) if entries else []
        recorded: set[str] = set()
        for entry, new in zip(entries, news, strict=True):
            self._tell(entry, new=new)
            if new and isinstance(entry, Event):
                recorded.add(entry.model)
        for message, reading in zip(messages, readings, strict=True):
            self._pass_over(message, reading)
        for model in recorded:
            self._outlets[model].on_recorded()

    def _tell(self, entry: Event | Rejection, *, new: bool) -> None:
        if isinstance(entry, Event):
            self._outlets[entry.model].announcements.announce(entry.id)
        model = entry.model if isinstance(entry, Event) else entry.event.model
        log_received(self._log.bind(model=model) if model else self._log, entry, new=new)

    def _pass_over(self, message: Message, reading: Reading) -> None:
        if reading.is_misnamed:
            self._log.info("object_ignored", message_id=message.id, drop=message.subject, reason=reading.why)
        elif not reading.records:
            self._log.debug("notification_ignored", message_id=message.id, reason=reading.why)
