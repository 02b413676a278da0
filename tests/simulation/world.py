"""One simulated world: the daemons, what they talk to, the clock; it takes the steps of a history, one after the other."""

import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from tests.simulation import moments, operators
from tests.simulation.choices import JUMPS_S, LINKS, NOTIFIED, PASSES_S, Choice, Kind, Setting
from tests.simulation.clocks import Clocks
from tests.simulation.journal import Journal
from tests.simulation.ledger import METHODS as LEDGER_METHODS
from tests.simulation.ledger import SimulatedLedger, database
from tests.simulation.replica import FENCED, ORCHESTRATOR_METHODS, REGISTRY_METHODS, Makers, Replica, Surroundings
from tests.simulation.storage import MODEL, Mail, Storage
from tests.simulation.watching import Watch
from tests.simulation.wire import Crash, Remote, Wire
from trainer_daemon.errors import PermanentError, StaleStateError, TemporaryError
from trainer_daemon.policy.actions import Wait
from trainer_daemon.policy.events import OPERATOR_EVENT, Event, EventKind, Source

_THREAD = {
    Kind.LISTEN: "listen",
    Kind.LIST: "list",
    Kind.RECONCILE: "reconcile",
    Kind.LOOK: "reconcile",
    Kind.FIRE: "fire",
    Kind.KEEP: "lease",
}
DAEMONS = frozenset(_THREAD)


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
    ledger_jumps: int = 0
    lives: int = 0
    fires: int = 0
    requests: int = 0


@dataclass
class World:
    """Everything that exists.

    Attributes:
        waits: What the last round of each daemon's reconciler came to.
    """

    setting: Setting
    makers: Makers = field(default_factory=Makers)
    clocks: Clocks = field(default_factory=Clocks)
    violations: list[Violation] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    waits: dict[int, Wait | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.database = database()
        self.database.empty()
        self.database.clock = self.clocks.ledger_seconds
        self.log = Journal()
        self.storage = Storage()
        self.registry = self.makers.registry()
        self._watch = Watch(self)
        self._told = 0
        self._begun = (0, 0)
        self.wire = Wire(apply=self.apply, on_call=self._watch.on_call, on_effect=self._watch.on_effect)
        self.cluster = self.makers.cluster(storage=self.storage, registry=self.registry, broken=self.wire.broken)
        self.mail = Mail(on_ack=self._watch.on_ack, clock=self.clocks.wall, listeners=self.setting.replicas)
        self.people = SimulatedLedger(self.database)
        self.replicas: list[Replica | None] = [None] * self.setting.replicas
        self._busy: set[tuple[int, str]] = set()
        self._around = [self._surroundings(number) for number in range(self.setting.replicas)]

    def _surroundings(self, number: int) -> Surroundings:
        ledger = self.makers.ledger(self.database)
        return Surroundings(
            setting=self.setting,
            makers=self.makers,
            unfenced=ledger,
            ledger=Remote(ledger, self.wire, f"daemon-ledger {number}", LEDGER_METHODS),
            storage=self.storage,
            mail=self.mail,
            orchestrator=Remote(self.cluster, self.wire, f"daemon-orchestrator {number}", ORCHESTRATOR_METHODS),
            registry=Remote(self.registry, self.wire, f"daemon-registry {number}", REGISTRY_METHODS),
            wire=self.wire,
            clock=partial(self.clocks.wall, number),
            seconds=partial(self.makers.tick, self.clocks, number),
            log=self.log,
            number=number,
        )

    def apply(self, choice: Choice) -> None:
        """Take one step."""
        self.clocks.pass_time(1)
        self.tally.steps += 1
        heard = len(self.mail.acked)
        if choice.kind in DAEMONS:
            self._daemon(choice)
        else:
            _HAPPENINGS[choice.kind](self, choice)
        self._look_around()
        self._read_lines(heard)

    def _read_lines(self, heard: int) -> None:
        """What is said of notifications must be true of those that had come before the step; a lost ledger forgets them."""
        if self.tally.lost_ledgers or len(self.log.calls) == self._told:
            return
        lines, self._told = self.log.calls[self._told :], len(self.log.calls)
        for invariant, facts in moments.wrong_with_warnings([line.kwargs for line in lines], self.mail.acked[:heard]):
            self.violate(invariant, facts)

    def _look_around(self) -> None:
        """What must hold after every step; only a request of an earlier time can start a run that nobody knows of."""
        begun = (self.cluster.starts, self.registry.numbers)
        if begun != self._begun:
            self._begun = begun
            for invariant, facts in moments.wrong_with_runs(self.cluster, self.registry):
                self.violate(invariant, facts)
        if len(self.replicas) > 1:
            for invariant, facts in moments.wrong_with_holders(self.holders):
                self.violate(invariant, facts)
        if self.tally.late_submits or self.tally.lost_ledgers or not self.cluster.running:
            return
        for invariant, facts in moments.wrong_with_executions(self.database.quick, self.cluster):
            self.violate(invariant, facts)

    def violate(self, invariant: str, facts: str) -> None:
        """A promise was broken."""
        self.violations.append(Violation(invariant=invariant, facts=facts))

    @property
    def holders(self) -> list[str]:
        """Who of several believe that they may act; where the database's clock leaps, one may believe it a little too long."""
        if self.tally.ledger_jumps or self.tally.lost_ledgers:
            return []
        return [replica.holder for replica in self.replicas if replica is not None and replica.is_holder]

    @property
    def at_rest(self) -> bool:
        """Whether every reconciler waits, and will until something happens."""
        return len(self.waits) == len(self.replicas) and None not in self.waits.values()

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
            self.wire.during(choice, partial(self._round, choice, number))
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
        self.tally.lives += 1
        replica = self.replicas[number] = Replica(self._around[number], f"daemon {number}, life {self.tally.lives}")
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
            case Kind.KEEP:
                replica.keep(is_late=choice.which % 2 == 1)
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

    def _crash(self, number: int) -> None:
        if not self._busy:
            self.kill(number)

    def _upload(self, choice: Choice) -> None:
        stored = self.storage.upload(choice.month, choice.content, self.clocks.now)
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
            occurred_at=self.clocks.wall(),
            drop=known[choice.month % len(known)],
            order=0,
            force=choice.which % 2 == 1,
            by="ann",
        )
        self.people.record([event], self.clocks.wall())

    def _cancel(self, which: int) -> None:
        runs = self.people.live_runs(MODEL)
        if runs:
            with suppress(StaleStateError):
                self.people.request_cancel(runs[which % len(runs)], "ann: wrong month")

    def _intervene(self, choice: Choice) -> None:
        operators.ask(choice.kind, choice.which, self.registry, self.people, self.clocks.wall())

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

    def _links(self, choice: Choice) -> set[str]:
        """The link between two parts; a run's are all runs' together."""
        link = LINKS[choice.which % len(LINKS)]
        number = choice.replica % len(self.replicas)
        if link.startswith("run-"):
            return {link}
        return {f"{link} {number}", f"{FENCED} {number}"} if link == "daemon-ledger" else {f"{link} {number}"}

    def _jump(self, number: int, seconds: int) -> None:
        self.tally.jumps += 1
        self.clocks.jump(number % len(self.replicas), seconds)

    def _jump_ledger(self, seconds: int) -> None:
        self.tally.ledger_jumps += 1
        self.clocks.ledger_ahead += timedelta(seconds=seconds)

    def take_effect(self, which: int) -> None:
        """A request that somebody gave up on is carried out after all."""
        if not self.wire.late:
            return
        late = self.wire.late.pop(which % len(self.wire.late))
        self.note_late(late.words)
        with suppress(PermanentError):  # nobody waits for the answer
            late.effect()

    def note_late(self, request: str) -> None:
        """It takes effect although whoever made it has given up on it, or may not act any more."""
        self.tally.late_submits += request == "submit"
        self.tally.late_promotions += request in {"promote", "move_champion"}
        self.tally.late_tags += request == "record_decision"

    def _lose_ledger(self) -> None:
        """The disk is gone; the file is made anew by the next daemon."""
        if self._busy:
            return
        for number in range(len(self.replicas)):
            self.kill(number)
        self.database.empty()
        self.log.calls.clear()  # what was told of the old one can be held against nothing any more
        self.tally.lost_ledgers += 1


_HAPPENINGS: Mapping[Kind, Callable[[World, Choice], object]] = {
    Kind.CRASH: lambda world, choice: world._crash(choice.replica % len(world.replicas)),
    Kind.UPLOAD: World._upload,
    Kind.RUN_PROGRESSES: lambda world, choice: world.cluster.progress(choice.which),
    Kind.RUN_FAILS: lambda world, choice: world.cluster.fail(choice.which),
    Kind.RUN_LEAVES_NOTHING: lambda world, choice: world.cluster.leave_nothing(choice.which),
    Kind.RUN_VANISHES: lambda world, choice: world.cluster.vanish(choice.which),
    Kind.ALIAS_MOVED: lambda world, choice: world.registry.move_by_hand(choice.which),
    Kind.CHAMPION_DELETED: lambda world, _: world.registry.delete_champion(),
    Kind.OPERATOR_TRIGGERS: World._trigger,
    Kind.OPERATOR_CANCELS: lambda world, choice: world._cancel(choice.which),
    Kind.OPERATOR_PROMOTES: World._intervene,
    Kind.OPERATOR_ROLLS_BACK: World._intervene,
    Kind.MESSAGE_DELIVERED: lambda world, choice: world.mail.deliver(choice.which),
    Kind.MESSAGES_EXPIRE: lambda world, _: world.mail.expire(),
    Kind.ACKED_REDELIVERED: lambda world, choice: world.mail.redeliver(choice.which),
    Kind.STREAM_ENDS: lambda world, choice: world._break_stream(choice.replica, silently=False),
    Kind.STREAM_DIES: lambda world, choice: world._break_stream(choice.replica, silently=True),
    Kind.CLOCK_JUMPS: lambda world, choice: world._jump(choice.replica, JUMPS_S[choice.which % len(JUMPS_S)]),
    Kind.LEDGER_CLOCK_JUMPS: lambda world, choice: world._jump_ledger(JUMPS_S[choice.which % len(JUMPS_S)]),
    Kind.TIME_PASSES: lambda world, choice: world.clocks.pass_time(PASSES_S[choice.which % len(PASSES_S)]),
    Kind.LINK_BREAKS: lambda world, choice: world.wire.broken.update(world._links(choice)),
    Kind.LINK_HEALS: lambda world, choice: world.wire.broken.difference_update(world._links(choice)),
    Kind.LATE_EFFECT: lambda world, choice: world.take_effect(choice.which),
    Kind.LEDGER_LOST: lambda world, _: world._lose_ledger(),
}
