"""One life of a daemon: the real parts, assembled as `bootstrap` does, every call of theirs on a wire."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import structlog
from structlog.typing import FilteringBoundLogger

from tests.simulation.choices import Setting
from tests.simulation.clocks import Clocks
from tests.simulation.journal import Journal
from tests.simulation.ledger import METHODS as LEDGER_METHODS
from tests.simulation.ledger import SimulatedLedger
from tests.simulation.services import Cluster, SimulatedRegistry
from tests.simulation.storage import MODEL, PLACE, Mail, SimulatedBucket, SimulatedSubscription, Storage
from tests.simulation.wire import Remote, Wire
from trainer_daemon.announcements import Announcements
from trainer_daemon.fenced import FencedOrchestrator, FencedRegistry
from trainer_daemon.inbox import Inbox, Outlet
from trainer_daemon.intake import Intake
from trainer_daemon.leases import Leases
from trainer_daemon.observer import Slots
from trainer_daemon.policy.actions import Wait
from trainer_daemon.policy.crontab import schedule_event
from trainer_daemon.policy.events import Source
from trainer_daemon.policy.notifications import Route
from trainer_daemon.policy.plan import ModelPolicy
from trainer_daemon.policy.promotion import PromotionPolicy
from trainer_daemon.reconciler import Model, Reconciler
from trainer_daemon.subscriber import Subscriber

PATIENCE = timedelta(seconds=15)
SUBSCRIPTION = "projects/demo/subscriptions/trainer"
LOOK_S = 100
"""The subscriber's own clock leaps by so much at every look, so that no pause keeps it from looking when it is its turn."""
FIRST_FIRE = datetime(2026, 3, 2, tzinfo=UTC)
ORCHESTRATOR_METHODS = frozenset({"submit", "observe", "cancel"})
REGISTRY_METHODS = frozenset({"champion", "outcome", "record_decision", "describe", "keep_report", "promote", "move_champion"})
FENCED = "daemon-ledger!"
"""The link to the ledger, as whoever must hold the lease uses it."""
_SUBSCRIPTION = frozenset({"open", "probe", "ack", "hold"})


def true_time(clocks: Clocks, number: int) -> float:
    """Seconds by a clock that nobody sets."""
    del number
    return clocks.now.timestamp()


@dataclass(frozen=True, slots=True, kw_only=True)
class Makers:
    """Which implementation plays which role; a seeded bug replaces one.

    Attributes:
        tick: What a daemon counts seconds by, given all clocks and its number.
    """

    ledger: type[SimulatedLedger] = SimulatedLedger
    registry: type[SimulatedRegistry] = SimulatedRegistry
    cluster: type[Cluster] = Cluster
    reconciler: type[Reconciler] = Reconciler
    subscriber: type[Subscriber] = Subscriber
    intake: type[Intake] = Intake
    leases: type[Leases] = Leases
    tick: Callable[[Clocks, int], float] = true_time


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What outlives a daemon.

    Attributes:
        unfenced: The ledger, no wire in between.
        ledger: The ledger as the daemon sees it, like the other services.
        clock: Its wall clock.
        seconds: What it counts seconds by.
        number: Which of the daemons it is.
    """

    setting: Setting
    makers: Makers
    unfenced: SimulatedLedger
    ledger: Any
    storage: Storage
    mail: Mail
    orchestrator: Any
    registry: Any
    wire: Wire
    clock: Callable[[], datetime]
    seconds: Callable[[], float]
    log: Journal
    number: int


class Replica:
    """A daemon that lives; each method is what one of its threads does in one round.

    Args:
        around: Where it lives.
        holder: Names this life of it.
    """

    def __init__(self, around: Surroundings, holder: str) -> None:
        self._around = around
        self.holder = holder
        log = structlog.wrap_logger(around.log, processors=[], wrapper_class=structlog.make_filtering_bound_logger(0))
        self._ledger = around.ledger
        self._leases = around.makers.leases(
            self._ledger, [MODEL], holder=holder, log=log, alone=around.setting.replicas == 1, monotonic=around.seconds
        )
        self._tenure = self._leases.tenure(MODEL)
        self._fenced = self._remote(around.unfenced.fenced(self._tenure), FENCED, LEDGER_METHODS)
        self._stream = SimulatedSubscription(around.mail)
        announcements = Announcements(PATIENCE, around.clock)
        since = self._ledger.baseline(MODEL)
        if since is not None:
            announcements.begin(since)
        self._subscriber = self._make_subscriber(announcements, log)
        self._intake = self._make_intake(announcements, log)
        self._reconciler = self._make_reconciler(log)

    def listen(self) -> None:
        """The subscriber's thread."""
        self._subscriber._work()

    def list_bucket(self) -> None:
        """The listing's thread."""
        self._intake.list_bucket(Source.LISTING)

    def fire(self, which: int) -> None:
        """The scheduler's thread; every other occasion asks for a training."""
        at = FIRST_FIRE + timedelta(days=which)
        self._intake.record_schedule(schedule_event(MODEL, "0 0 * * *", at, retrain=which % 2 == 1))

    def keep(self, *, is_late: bool) -> None:
        """The lease's threads; the one that asks nobody comes first where the other one has been waiting for an answer."""
        if is_late:
            self._leases.expire()
        self._leases.keep()

    @property
    def is_holder(self) -> bool:
        """Whether it believes that it may act."""
        return self._leases.current(MODEL) is not None

    def reconcile(self) -> Wait | None:
        """The model's thread; whoever holds no lease rests."""
        if not self._leases.complete:
            self._leases.keep()
        return self._reconciler.step() if self._tenure.begin() else Wait()

    def look(self) -> None:
        """The model's thread, when it has been quiet for long."""
        self._reconciler.look_at_champion()

    def die(self) -> None:
        """The service notices that its stream is gone."""
        self._stream.close()

    @property
    def stream(self) -> SimulatedSubscription:
        """What it hears messages by."""
        return self._stream

    def _remote(self, part: object, link: str, methods: frozenset[str]) -> Any:  # noqa: ANN401 - whatever the part is
        return Remote(part, self._around.wire, f"{link} {self._around.number}", methods)

    def _make_subscriber(self, announcements: Announcements, log: FilteringBoundLogger) -> Subscriber:
        around = self._around
        outlet = Outlet(route=Route(model=MODEL, place=PLACE), announcements=announcements, on_recorded=lambda: None)
        inbox = Inbox(SUBSCRIPTION, [outlet], ledger=self._ledger, clock=around.clock, log=log)
        subscription = self._remote(self._stream, "daemon-pubsub", _SUBSCRIPTION)
        return around.makers.subscriber(
            subscription, inbox, clock=around.clock, log=log, monotonic=count(LOOK_S, LOOK_S).__next__
        )

    def _make_intake(self, announcements: Announcements, log: FilteringBoundLogger) -> Intake:
        around = self._around
        bucket = SimulatedBucket(around.storage, lambda page: around.wire.call(f"daemon-bucket {around.number}", "page", page))
        return around.makers.intake(
            model=MODEL,
            bucket=bucket,
            start_from=around.setting.start_from,
            ledger=self._ledger,
            announcements=announcements,
            clock=around.clock,
            log=log,
            on_missed=self._subscriber.suspect,
        )

    def _make_reconciler(self, log: FilteringBoundLogger) -> Reconciler:
        around = self._around
        return around.makers.reconciler(
            model=Model(policy=policy_of(around.setting), parameters={}, pipeline="training", run_timeout_s=60),
            ledger=self._fenced,
            orchestrator=FencedOrchestrator(around.orchestrator, self._tenure),
            registry=FencedRegistry(around.registry, self._tenure),
            slots=Slots(self._ledger, 1, [MODEL]),
            clock=around.clock,
            log=log,
        )


def policy_of(setting: Setting) -> ModelPolicy:
    """What decisions depend on."""
    return ModelPolicy(
        name=MODEL,
        promotion=PromotionPolicy(thresholds={"roc_auc": 0.6}, min_holdout_rows=30),
        pipeline_digest="d",
        window_months=setting.window_months,
        backlog=setting.backlog,
        attempts_max=setting.attempts_max,
    )
