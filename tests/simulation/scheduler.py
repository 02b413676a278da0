"""Draws the next step of a history, and what goes wrong in it, from a seeded generator and what is possible now."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

from tests.simulation import operators
from tests.simulation.choices import JUMPS_S, LINKS, MONTHS, PASSES_S, Choice, Fault, Kind, Setting, Trouble
from tests.simulation.world import DAEMONS, World

T = TypeVar("T")
UPLOADS_MAX = 7
CONTENTS = 4
MONTHS_WEIGHTS = (3, 3, 2, 1)
CALLS_MAX = 16
CHANGES_WEIGHTS = (8, 5, 3, 1)
AMONG_CHANGES = 0.8
"""Most trouble is with calls that change something: a crash between two questions is one before the next change."""
LOST_LEDGERS = 0.1
STEPS_MIN, STEPS_MAX = 15, 90
ALWAYS = frozenset({Kind.LISTEN, Kind.LIST, Kind.RECONCILE, Kind.UPLOAD, Kind.RUN_PROGRESSES, Kind.MESSAGE_DELIVERED})
"""Without these nothing happens at all; every other kind is left out of some histories, so that the rest gets room."""
SOMETIMES = 0.6
FAULT_RATES = (0.02, 0.15, 0.35, 0.6)
DELICATE_RATE = 0.5
"""How likely trouble is, at least, in a step that has more than one effect."""
_DELICATE = """
    SELECT 1 FROM run r WHERE r.ending <> '' AND r.state IN ('QUEUED', 'RUNNING', 'TRAINED')
        OR r.state = 'TRAINED' AND EXISTS (SELECT 1 FROM decision d WHERE d.run_key = r.key AND d.attempt = r.attempt)
        OR r.state IN ('RUNNING', 'TRAINED') AND EXISTS (
            SELECT 1 FROM run_drop u JOIN current_drop c ON c.uri = u.uri AND c.checksum <> u.checksum WHERE u.run_key = r.key)
    UNION ALL SELECT 1 FROM intervention WHERE outcome = 'pending'"""
NESTED = (Kind.UPLOAD, Kind.UPLOAD, Kind.LISTEN, Kind.LIST, Kind.OPERATOR_CANCELS, Kind.ALIAS_MOVED, Kind.RUN_PROGRESSES)
TAKEN_OVER = (Kind.RECONCILE, Kind.RECONCILE, Kind.RECONCILE, Kind.RUN_PROGRESSES, Kind.LIST, Kind.UPLOAD, Kind.OPERATOR_CANCELS)
TAKEN_OVER_MAX = 12
HEARD = ((Kind.LIST,), (Kind.MESSAGE_DELIVERED, Kind.LISTEN))


class Scheduler:
    """One history's chances.

    Args:
        seed: Of the history.
        replicas: How many daemons share the ledger.
    """

    def __init__(self, seed: str, *, replicas: int = 1) -> None:
        self._random = random.Random(seed)
        self._steps = self._random.randint(STEPS_MIN, STEPS_MAX)
        self._fault_rate = self._random.choice(FAULT_RATES)
        self._troubles = self._some(Trouble) or [Trouble.CRASH_AFTER]
        self._kinds = (
            ALWAYS | set(self._some(kind for kind in Kind if kind not in ALWAYS | operators.KINDS)) | operators.kinds(seed)
        )
        if self._random.random() > LOST_LEDGERS:
            self._kinds -= {Kind.LEDGER_LOST}
        self.setting = self._setting(replicas)

    def choices(self, world: World) -> Iterator[Choice]:
        """The steps of the history; each is drawn when the one before was taken."""
        for _ in range(self._steps):
            yield self._next(world)

    def _setting(self, replicas: int) -> Setting:
        draw = self._random
        window = draw.choice((1, 1, 2 + self._steps % 2))
        return Setting(
            window_months=window,
            backlog=draw.choice(("every", "every", "newest")),
            attempts_max=draw.choice((1, 2, 3)),
            start_from="all" if window > 1 else draw.choice(("all", "all", "newest")),
            replicas=replicas,
        )

    def _some(self, things: Iterable[T]) -> list[T]:
        return [thing for thing in things if self._random.random() < SOMETIMES]

    def _next(self, world: World) -> Choice:
        weights = {kind: weight for kind, weight in _weights(world).items() if weight and kind in self._kinds}
        kind = self._random.choices(list(weights), list(weights.values()))[0]
        choice = self._choice(kind, world)
        if kind in DAEMONS and self._random.random() < self._rate(kind, world):
            return replace(choice, faults=(self._fault(world, choice.replica),))
        return choice

    def _rate(self, kind: Kind, world: World) -> float:
        """How likely trouble is in the next step."""
        return max(self._fault_rate, DELICATE_RATE) if self._is_delicate(kind, world) else self._fault_rate

    def _is_delicate(self, kind: Kind, world: World) -> bool:
        """Whether this step is about to promote something, for a person too, or to end it."""
        return kind is Kind.RECONCILE and bool(world.database.quick.look(_DELICATE))

    def _choice(self, kind: Kind, world: World) -> Choice:
        draw = self._random
        replica = draw.randrange(world.setting.replicas)
        which = draw.randrange(_operands(kind, world))
        month = draw.choices(range(len(MONTHS)), MONTHS_WEIGHTS)[0]
        return Choice(kind=kind, replica=replica, month=month, content=draw.randrange(CONTENTS), which=which)

    def _fault(self, world: World, replica: int) -> Fault:
        draw = self._random
        among_changes = draw.random() < AMONG_CHANGES
        at = draw.choices(range(len(CHANGES_WEIGHTS)), CHANGES_WEIGHTS)[0] if among_changes else draw.randrange(CALLS_MAX)
        trouble = draw.choice(self._troubles)
        fault = Fault(at=at, trouble=trouble, among_changes=among_changes)
        match trouble:
            case Trouble.MEANWHILE_BEFORE | Trouble.MEANWHILE_AFTER:
                return replace(fault, meanwhile=tuple(self._meanwhile(world)))
            case Trouble.PAUSED:
                return replace(fault, meanwhile=tuple(self._pause(world, replica)))
            case _:
                return fault

    def _pause(self, world: World, replica: int) -> Iterator[Choice]:
        """A daemon is stopped for longer than its lease lasts, and another one, if there is one, takes over."""
        draw = self._random
        yield Choice(kind=Kind.TIME_PASSES, which=0)
        if world.setting.replicas == 1:
            return
        other = (replica + draw.randrange(1, world.setting.replicas)) % world.setting.replicas
        yield Choice(kind=Kind.KEEP, replica=other)
        for _ in range(draw.randrange(TAKEN_OVER_MAX)):
            yield replace(self._choice(draw.choice(TAKEN_OVER), world), replica=other)

    def _meanwhile(self, world: World) -> Iterator[Choice]:
        """What happens at the worst moment: mostly something that the daemon hears of at once."""
        draw = self._random
        kind = draw.choice(NESTED)
        yield self._choice(kind, world)
        if kind is Kind.UPLOAD:
            yield from (self._choice(heard, world) for heard in draw.choice(HEARD))


def _weights(world: World) -> dict[Kind, float]:
    """How likely each kind is as the next step; 0 where it is impossible."""
    tally, mail, cluster, registry = world.tally, world.mail, world.cluster, world.registry
    return {
        Kind.LISTEN: 9 if any(stream.buffer for stream in mail.streams) else 4,
        Kind.LIST: 4,
        Kind.RECONCILE: 12 if world.at_rest else 34,
        Kind.LOOK: 2,
        Kind.FIRE: 1,
        Kind.KEEP: 12 * (world.setting.replicas > 1),
        Kind.CRASH: 2 * any(world.replicas),
        Kind.UPLOAD: 7 * (len(world.storage.uploads) < UPLOADS_MAX),
        Kind.RUN_PROGRESSES: 30 * bool(cluster.running),
        Kind.RUN_FAILS: 2 * bool(cluster.running),
        Kind.RUN_LEAVES_NOTHING: 1 * bool(cluster.running),
        Kind.RUN_VANISHES: 1 * bool(cluster.phases),
        Kind.ALIAS_MOVED: 1.5,
        Kind.CHAMPION_DELETED: 0.7 * ("champion" in registry.aliases),
        Kind.OPERATOR_TRIGGERS: 1.5,
        Kind.OPERATOR_CANCELS: 1.5,
        **operators.weights(registry),
        Kind.MESSAGE_DELIVERED: 12 * bool(mail.waiting and mail.streams),
        Kind.MESSAGES_EXPIRE: 2 * bool(mail.leased),
        Kind.ACKED_REDELIVERED: 1 * bool(mail.acked),
        Kind.STREAM_ENDS: 1 * bool(mail.streams),
        Kind.STREAM_DIES: 1 * bool(mail.streams),
        Kind.CLOCK_JUMPS: 1.5,
        Kind.LEDGER_CLOCK_JUMPS: 0.7 * (world.setting.replicas > 1),
        Kind.TIME_PASSES: 4,
        Kind.LINK_BREAKS: 1.5 * (not world.wire.broken),
        Kind.LINK_HEALS: 8 * bool(world.wire.broken),
        Kind.LATE_EFFECT: 8 * bool(world.wire.late),
        Kind.LEDGER_LOST: 0.5 * (not tally.lost_ledgers),
    }


def _operands(kind: Kind, world: World) -> int:
    """How many different `which` a kind has."""
    match kind:
        case Kind.FIRE:
            return world.tally.fires + 1
        case Kind.LINK_BREAKS | Kind.LINK_HEALS:
            return len(LINKS)
        case Kind.CLOCK_JUMPS | Kind.LEDGER_CLOCK_JUMPS:
            return len(JUMPS_S)
        case Kind.TIME_PASSES:
            return len(PASSES_S)
        case _:
            return 6
