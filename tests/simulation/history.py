"""One history from its seed, or once more from its plan: steps, settling, invariants."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tests.simulation.choices import Choice, Plan
from tests.simulation.facts import gather
from tests.simulation.invariants import INVARIANTS
from tests.simulation.replica import Makers
from tests.simulation.reports import one_of_each_shape
from tests.simulation.scheduler import Scheduler
from tests.simulation.settling import settle
from tests.simulation.world import Violation, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What came of a history.

    Attributes:
        plan: Takes the same course again.
        counts: How often each trouble happened.
    """

    plan: Plan
    violations: tuple[Violation, ...]
    steps: int
    counts: Counter[str]


def live(seed: str, *, makers: Makers | None = None, replicas: int = 1) -> Course:
    """Make a history up and live it."""
    scheduler = Scheduler(seed, replicas=replicas)
    world = World(setting=scheduler.setting, makers=makers or Makers())
    return _live(world, scheduler.choices(world))


def replay(plan: Plan, *, makers: Makers | None = None) -> Course:
    """Live a history once more; a step that is no longer possible changes nothing."""
    return _live(World(setting=plan.setting, makers=makers or Makers()), plan.choices)


def _live(world: World, choices: Iterable[Choice]) -> Course:
    taken: list[Choice] = []
    with one_of_each_shape():
        _take(world, choices, taken)
    return Course(
        plan=Plan(setting=world.setting, choices=tuple(taken)),
        violations=tuple(world.violations),
        steps=world.tally.steps,
        counts=Counter({**world.wire.counts, "kills": world.tally.kills}),
    )


def _take(world: World, choices: Iterable[Choice], taken: list[Choice]) -> None:
    for choice in choices:
        taken.append(choice)
        world.apply(choice)
        if world.violations:
            return
    settle(world)
    if not world.violations:
        _judge(world)


def _judge(world: World) -> None:
    facts = gather(world)
    for invariant in INVARIANTS:
        for sentence in invariant(facts):
            world.violate(invariant.__name__, sentence)
