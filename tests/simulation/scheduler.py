"""Draws the next step of a history, and what goes wrong in it, from a seeded generator and what is possible now."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import accumulate
from typing import NamedTuple, TypeVar

from tests.simulation import operators
from tests.simulation.choices import JUMPS_S, LINKS, MONTHS, PASSES_S, Choice, Fault, Kind, Setting, Trouble
from tests.simulation.world import DAEMONS, World

T = TypeVar("T")
UPLOADS_MAX = 7
CONTENTS = 4
MONTHS_WEIGHTS = (3, 3, 2, 1)
_MONTHS, _MONTHS_SUMS = range(len(MONTHS)), list(accumulate(MONTHS_WEIGHTS))
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
        self._known: dict[_Standing, tuple[list[Kind], list[float]]] = {}

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
        kinds, weights = self._chances(_standing(world))
        kind = self._random.choices(kinds, cum_weights=weights)[0]
        choice = self._choice(kind, world)
        if kind in DAEMONS and self._random.random() < self._rate(kind, world):
            return replace(choice, faults=(self._fault(world, choice.replica),))
        return choice

    def _chances(self, standing: "_Standing") -> tuple[list[Kind], list[float]]:
        """What can happen next, and the sums of how likely each is; a history comes to the same few standings again and again."""
        if (known := self._known.get(standing)) is None:
            weights = {kind: weight for kind, weight in _weights(standing).items() if weight and kind in self._kinds}
            known = self._known[standing] = list(weights), list(accumulate(weights.values()))
        return known

    def _rate(self, kind: Kind, world: World) -> float:
        """How likely trouble is in the next step."""
        is_higher = self._fault_rate < DELICATE_RATE and self._is_delicate(kind, world)
        return DELICATE_RATE if is_higher else self._fault_rate

    def _is_delicate(self, kind: Kind, world: World) -> bool:
        """Whether this step is about to promote something, for a person too, or to end it."""
        return kind is Kind.RECONCILE and bool(world.database.quick.look(_DELICATE))

    def _choice(self, kind: Kind, world: World) -> Choice:
        draw = self._random
        replica = draw.randrange(world.setting.replicas)
        which = draw.randrange(_operands(kind, world))
        month = draw.choices(_MONTHS, cum_weights=_MONTHS_SUMS)[0]
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


class _Standing(NamedTuple):
    """What of a world decides how likely each step is next."""

    replicas: int
    is_heard: bool
    is_at_rest: bool
    is_alive: bool
    has_room: bool
    is_running: bool
    was_submitted: bool
    has_champion: bool
    operators: tuple[float, float]
    is_waiting: bool
    is_streaming: bool
    is_leased: bool
    was_acked: bool
    is_broken: bool
    is_late: bool
    has_ledger: bool


def _standing(world: World) -> _Standing:
    mail, cluster, wire, streams = world.mail, world.cluster, world.wire, world.mail.streams
    return _Standing(
        world.setting.replicas,
        any(stream.buffer for stream in streams),
        world.at_rest,
        any(world.replicas),
        len(world.storage.uploads) < UPLOADS_MAX,
        bool(cluster.running),
        bool(cluster.phases),
        "champion" in world.registry.aliases,
        operators.weights(world.registry),
        bool(mail.waiting),
        bool(streams),
        bool(mail.leased),
        bool(mail.acked),
        bool(wire.broken),
        bool(wire.late),
        not world.tally.lost_ledgers,
    )


def _weights(now: _Standing) -> dict[Kind, float]:
    """How likely each kind is as the next step; 0 where it is impossible."""
    promotes, rolls_back = now.operators
    return {
        Kind.LISTEN: 9 if now.is_heard else 4,
        Kind.LIST: 4,
        Kind.RECONCILE: 12 if now.is_at_rest else 34,
        Kind.LOOK: 2,
        Kind.FIRE: 1,
        Kind.KEEP: 12 * (now.replicas > 1),
        Kind.CRASH: 2 * now.is_alive,
        Kind.UPLOAD: 7 * now.has_room,
        Kind.RUN_PROGRESSES: 30 * now.is_running,
        Kind.RUN_FAILS: 2 * now.is_running,
        Kind.RUN_LEAVES_NOTHING: 1 * now.is_running,
        Kind.RUN_VANISHES: 1 * now.was_submitted,
        Kind.ALIAS_MOVED: 1.5,
        Kind.CHAMPION_DELETED: 0.7 * now.has_champion,
        Kind.OPERATOR_TRIGGERS: 1.5,
        Kind.OPERATOR_CANCELS: 1.5,
        Kind.OPERATOR_PROMOTES: promotes,
        Kind.OPERATOR_ROLLS_BACK: rolls_back,
        Kind.MESSAGE_DELIVERED: 12 * (now.is_waiting and now.is_streaming),
        Kind.MESSAGES_EXPIRE: 2 * now.is_leased,
        Kind.ACKED_REDELIVERED: 1 * now.was_acked,
        Kind.STREAM_ENDS: 1 * now.is_streaming,
        Kind.STREAM_DIES: 1 * now.is_streaming,
        Kind.CLOCK_JUMPS: 1.5,
        Kind.LEDGER_CLOCK_JUMPS: 0.7 * (now.replicas > 1),
        Kind.TIME_PASSES: 4,
        Kind.LINK_BREAKS: 1.5 * (not now.is_broken),
        Kind.LINK_HEALS: 8 * now.is_broken,
        Kind.LATE_EFFECT: 8 * now.is_late,
        Kind.LEDGER_LOST: 0.5 * now.has_ledger,
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
