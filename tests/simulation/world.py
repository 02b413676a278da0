"""One simulated world: the daemons, what they talk to, the clock; it takes the steps of a history, one after the other."""

import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from structlog.testing import CapturingLogger

from tests.simulation import moments, operators
from tests.simulation.choices import JUMPS_S, LINKS, NOTIFIED, PASSES_S, Choice, Kind, Setting
from tests.simulation.ledger import SimulatedLedger, database
from tests.simulation.replica import Makers, Replica, Surroundings
from tests.simulation.storage import MODEL, Mail, Storage
from tests.simulation.wire import Crash, Wire
from trainer_daemon.errors import PermanentError, StaleStateError, TemporaryError
from trainer_daemon.policy.actions import Wait
from trainer_daemon.policy.events import OPERATOR_EVENT, Event, EventKind, Source
from trainer_daemon.policy.notifications import Message

BEGINNING = datetime(2026, 3, 1, 12, tzinfo=UTC)
Happening = Callable[[], object]
DAEMONS = frozenset({Kind.LISTEN, Kind.LIST, Kind.RECONCILE, Kind.LOOK, Kind.FIRE})
_THREAD = {Kind.LISTEN: "listen", Kind.LIST: "list", Kind.RECONCILE: "reconcile", Kind.LOOK: "reconcile", Kind.FIRE: "fire"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A promise that was broken.

    Attributes:
        invariant: Its name.
        facts: How it shows.
    """

    invariant: str
    facts: str


@dataclass
class Tally:
    """What happened to the world, as far as an invariant makes allowances for it."""

    steps: int = 0
    kills: int = 0
    lost_ledgers: int = 0
    late_submits: int = 0
    late_promotions: int = 0
    late_tags: int = 0
    jumps: int = 0
    fires: int = 0
    requests: int = 0


@dataclass
class World:
    """Everything that exists.

    Attributes:
        now: True time; the services go by it, a daemon's wall clock is ahead of it by `ahead`.
        waits: What the last round of each daemon's reconciler came to.
    """

    setting: Setting
    makers: Makers = field(default_factory=Makers)
    now: datetime = BEGINNING
    ahead: timedelta = timedelta()
    violations: list[Violation] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    waits: dict[int, Wait | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.database = database()
        self.database.empty()
        self.log = CapturingLogger()
        self.storage = Storage()
        self.registry = self.makers.registry()
        self.wire = Wire(apply=self.apply, on_call=self._on_call)
        self.cluster = self.makers.cluster(storage=self.storage, registry=self.registry, broken=self.wire.broken)
        self.mail = Mail(on_ack=self._on_ack, clock=self.clock)
        self.people = SimulatedLedger(self.database)
        self.replicas: list[Replica | None] = [None] * self.setting.replicas
        self._busy: set[tuple[int, str]] = set()
        self._around = Surroundings(
            setting=self.setting,
            makers=self.makers,
            database=self.database,
            storage=self.storage,
            mail=self.mail,
            cluster=self.cluster,
            registry=self.registry,
            wire=self.wire,
            clock=self.clock,
            log=self.log,
        )

    def clock(self) -> datetime:
        """A daemon's wall clock."""
        return self.now + self.ahead

    def apply(self, choice: Choice) -> None:
        """Take one step."""
        self.now += timedelta(seconds=1)
        self.tally.steps += 1
        if choice.kind in DAEMONS:
            self._daemon(choice)
        else:
            self._happen(choice)
        self._look_around()

    def _look_around(self) -> None:
        """What must hold after every step; only a request of an earlier time can start a run that nobody knows of."""
        for invariant, facts in moments.wrong_with_runs(self.cluster, self.registry):
            self.violate(invariant, facts)
        if self.tally.late_submits or self.tally.lost_ledgers:
            return
        for invariant, facts in moments.wrong_with_executions(self.database.connection, self.cluster):
            self.violate(invariant, facts)

    def violate(self, invariant: str, facts: str) -> None:
        """A promise was broken."""
        self.violations.append(Violation(invariant=invariant, facts=facts))

    @property
    def at_rest(self) -> bool:
        """Whether every reconciler waits, and will until something happens."""
        return all(self.waits.get(number) is not None for number in range(len(self.replicas)))

    # daemons

    def _daemon(self, choice: Choice) -> None:
        """A round of one of a daemon's threads; a thread that is in the middle of one makes no other."""
        number = choice.replica % len(self.replicas)
        place = (number, _THREAD[choice.kind])
        starting = self.replicas[number] is None and any(busy == number for busy, _ in self._busy)
        if place in self._busy or starting:
            return
        self._busy.add(place)
        try:
            with self.wire.step(choice):
                self._round(choice, number)
        finally:
            self._busy.discard(place)

    def _round(self, choice: Choice, number: int) -> None:
        try:
            replica = self.replicas[number] or self._start(number)
            self._perform(choice, number, replica)
        except Crash:
            self.kill(number)
        except TemporaryError:
            pass  # the loop would pause and try again
        except PermanentError as exc:
            self.violate("nothing_is_refused", str(exc))
        except Exception:  # noqa: BLE001 - whatever else it is, it is a bug of the daemon
            self.violate("no_bug_shows", traceback.format_exc())

    def _start(self, number: int) -> Replica:
        replica = self.replicas[number] = Replica(self._around)
        return replica

    def _perform(self, choice: Choice, number: int, replica: Replica) -> None:
        match choice.kind:
            case Kind.LISTEN:
                replica.listen()
            case Kind.LIST:
                replica.list_bucket()
            case Kind.FIRE:
                replica.fire(choice.which)
                self.tally.fires = max(self.tally.fires, choice.which + 1)
            case Kind.LOOK:
                replica.look()
            case _:
                self.waits[number] = None
                self.waits[number] = replica.reconcile()

    def kill(self, number: int) -> None:
        """The process is gone, and its stream with it."""
        replica, self.replicas[number] = self.replicas[number], None
        if replica is not None:
            self.tally.kills += 1
            replica.die()

    # everything else

    def _happen(self, choice: Choice) -> None:
        which = choice.which
        happenings: dict[Kind, Happening] = {
            Kind.CRASH: lambda: self._crash(choice.replica % len(self.replicas)),
            Kind.UPLOAD: lambda: self._upload(choice),
            Kind.RUN_PROGRESSES: lambda: self.cluster.progress(which),
            Kind.RUN_FAILS: lambda: self.cluster.fail(which),
            Kind.RUN_LEAVES_NOTHING: lambda: self.cluster.leave_nothing(which),
            Kind.RUN_VANISHES: lambda: self.cluster.vanish(which),
            Kind.ALIAS_MOVED: lambda: self.registry.move_by_hand(which),
            Kind.CHAMPION_DELETED: self.registry.delete_champion,
            Kind.OPERATOR_TRIGGERS: lambda: self._trigger(choice),
            Kind.OPERATOR_CANCELS: lambda: self._cancel(which),
            Kind.OPERATOR_PROMOTES: lambda: self._intervene(choice),
            Kind.OPERATOR_ROLLS_BACK: lambda: self._intervene(choice),
            Kind.MESSAGE_DELIVERED: lambda: self.mail.deliver(which),
            Kind.MESSAGES_EXPIRE: self.mail.expire,
            Kind.ACKED_REDELIVERED: lambda: self.mail.redeliver(which),
            Kind.STREAM_ENDS: lambda: self._break_stream(choice.replica, silently=False),
            Kind.STREAM_DIES: lambda: self._break_stream(choice.replica, silently=True),
            Kind.CLOCK_JUMPS: lambda: self._jump(JUMPS_S[which % len(JUMPS_S)]),
            Kind.TIME_PASSES: lambda: self.pass_time(PASSES_S[which % len(PASSES_S)]),
            Kind.LINK_BREAKS: lambda: self.wire.broken.add(LINKS[which % len(LINKS)]),
            Kind.LINK_HEALS: lambda: self.wire.broken.discard(LINKS[which % len(LINKS)]),
            Kind.LATE_EFFECT: lambda: self.take_effect(which),
            Kind.LEDGER_LOST: self._lose_ledger,
        }
        happenings[choice.kind]()

    def _crash(self, number: int) -> None:
        if not self._busy:
            self.kill(number)

    def _upload(self, choice: Choice) -> None:
        stored = self.storage.upload(choice.month, choice.content, self.now)
        for _ in range((1, 0, 2)[choice.which % len(NOTIFIED)]):
            self.mail.publish(stored)

    def _trigger(self, choice: Choice) -> None:
        """As the command line does, in a process of its own."""
        known = self.people.newest_drops(MODEL, 99)
        if not known:
            return
        self.tally.requests += 1
        event = Event(
            id=f"{OPERATOR_EVENT}{MODEL}:{self.tally.requests}",
            kind=EventKind.OPERATOR,
            model=MODEL,
            source=Source.CLI,
            occurred_at=self.clock(),
            drop=known[choice.month % len(known)],
            order=0,
            force=choice.which % 2 == 1,
            by="ann",
        )
        self.people.record([event], self.clock())

    def _cancel(self, which: int) -> None:
        runs = self.people.live_runs(MODEL)
        if runs:
            with suppress(StaleStateError):
                self.people.request_cancel(runs[which % len(runs)], "ann: wrong month")

    def _intervene(self, choice: Choice) -> None:
        operators.ask(choice.kind, choice.which, self.registry, self.people, self.clock())

    def _break_stream(self, number: int, *, silently: bool) -> None:
        replica = self.replicas[number % len(self.replicas)]
        stream = replica.stream.stream if replica else None
        if stream is None or stream.ended:
            return
        if silently:
            stream.silent = True
        else:
            stream.ended = True
            stream.on_end()

    def _jump(self, seconds: int) -> None:
        self.tally.jumps += 1
        self.ahead += timedelta(seconds=seconds)

    def pass_time(self, seconds: int) -> None:
        """Nothing happens for a while."""
        self.now += timedelta(seconds=seconds)

    def take_effect(self, which: int) -> None:
        """A request that somebody gave up on is carried out after all."""
        if not self.wire.late:
            return
        late = self.wire.late.pop(which % len(self.wire.late))
        self.tally.late_submits += late.words == "submit"
        self.tally.late_promotions += late.words in {"promote", "move_champion"}
        self.tally.late_tags += late.words == "record_decision"
        with suppress(PermanentError):  # nobody waits for the answer
            late.effect()

    def _lose_ledger(self) -> None:
        """The disk is gone; the file is made anew by the next daemon."""
        if self._busy:
            return
        for number in range(len(self.replicas)):
            self.kill(number)
        self.database.empty()
        self.log.calls.clear()  # what was told of the old one can be held against nothing any more
        self.tally.lost_ledgers += 1

    # what must hold at the moment of a call

    def _on_ack(self, message: Message) -> None:
        stored = self.storage.uploads[int(message.attributes["objectGeneration"]) - 1]
        for invariant, facts in moments.wrong_with_ack(self.database.connection, stored.event_id):
            self.violate(invariant, facts)

    def _on_call(self, name: str, arguments: tuple[object, ...], named: dict[str, object]) -> None:
        if name == "move_champion":
            for invariant, facts in operators.wrong_with_move(self.database.connection, str(arguments[1])):
                self.violate(invariant, facts)
        if name != "promote":
            return
        version, expected = str(arguments[1]), str(named["expected"])
        key = self.registry.key_of(version)
        if not key or self.registry.aliases.get("champion") == version:
            return  # it is gone, and will be refused; or it is there already, and the rest is being finished
        promotion = moments.Promotion(key=key, version=version, expected=expected)
        for invariant, facts in moments.wrong_with_promotion(self.database.connection, promotion):
            self.violate(invariant, facts)
