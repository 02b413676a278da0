"""The parts of a daemon that talk to Google Cloud; only imported, and their libraries with it, when a model needs them."""

from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import datetime
from functools import partial

from structlog.typing import FilteringBoundLogger

from trainer_daemon.adapters.gcs import StorageBucket, open_client
from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.adapters.pubsub import PubsubSubscription
from trainer_daemon.announcements import Announcements
from trainer_daemon.config import ModelSettings
from trainer_daemon.errors import ConfigError, PermanentError, TemporaryError
from trainer_daemon.inbox import Inbox, Outlet
from trainer_daemon.measured import MeasuredSubscription
from trainer_daemon.policy.notifications import Route
from trainer_daemon.policy.objects import place_of
from trainer_daemon.subscriber import Subscriber
from trainer_daemon.telemetry.metrics import Metrics
from trainer_daemon.telemetry.vitals import Vitals

Clock = Callable[[], datetime]


class GoogleParts:
    """What all models on Google Cloud use together: one storage client, one stream per subscription.

    Args:
        ledger: Where messages are recorded.
        resources: Closes the clients.
        clock: Now, in UTC.
        log: The daemon's.
        metrics: Told whether streams are alive.
        vitals: Told whether subscriptions can be reached.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        resources: ExitStack,
        clock: Clock,
        log: FilteringBoundLogger,
        metrics: Metrics,
        vitals: Vitals,
    ) -> None:
        self._metrics = metrics
        self._vitals = vitals
        self._ledger = ledger
        self._clock = clock
        self._log = log
        self._client = resources.enter_context(closing(open_client()))
        self._outlets: dict[str, list[Outlet]] = {}
        self._subscribers: dict[str, Subscriber] = {}

    def bucket(self, settings: ModelSettings) -> StorageBucket:
        """The bucket of a model.

        Raises:
            ConfigError: It does not exist or may not be listed.
        """
        bucket = StorageBucket(place_of(settings.bucket, settings.drops), self._client)
        self._check(bucket.check, settings)
        return bucket

    def subscribe(self, settings: ModelSettings, announcements: Announcements, on_recorded: Callable[[], None]) -> None:
        """Have a model told of the drops that its subscription announces, if it has one.

        Raises:
            ConfigError: The subscription does not exist or may not be used.
        """
        name = settings.subscription
        if not name:
            return
        if name not in self._outlets:
            self._check(PubsubSubscription(name).check, settings)
        route = Route(model=settings.name, place=place_of(settings.bucket, settings.drops))
        self._outlets.setdefault(name, []).append(Outlet(route=route, announcements=announcements, on_recorded=on_recorded))

    def suspect(self, settings: ModelSettings, missed_at: datetime) -> None:
        """A drop of that time was not announced."""
        if subscriber := self._subscribers.get(settings.subscription):
            subscriber.suspect(missed_at)

    def subscribers(self) -> tuple[Subscriber, ...]:
        """One for each subscription, once all models are known: two streams would take each other's messages."""
        for name, outlets in self._outlets.items():
            log = self._log.bind(subscription=name)
            inbox = Inbox(name, outlets, ledger=self._ledger, clock=self._clock, log=log)
            self._subscribers[name] = Subscriber(
                self._measured(name), inbox, clock=self._clock, log=log, pulse=self._vitals.pulse(f"subscribe {name}")
            )
        return tuple(self._subscribers.values())

    def _measured(self, name: str) -> MeasuredSubscription:
        part = self._vitals.part(f"subscription {name}")
        return MeasuredSubscription(PubsubSubscription(name), part=part, on_change=partial(self._metrics.stream, name))

    def _check(self, check: Callable[[], None], settings: ModelSettings) -> None:
        """What is wrong for good stops the start; what passes does not."""
        try:
            check()
        except ConfigError as exc:
            raise ConfigError(*(f"models[{settings.name}].{problem}" for problem in exc.problems)) from exc
        except (TemporaryError, PermanentError) as exc:
            self._log.warning("check_deferred", model=settings.name, reason=str(exc))
