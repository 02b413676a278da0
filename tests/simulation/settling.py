"""The end of a history: nothing goes wrong any more, everybody works, and all has to come to rest."""

from functools import cache

from tests.simulation.choices import Choice, Kind
from tests.simulation.world import World
from trainer_daemon.policy.actions import Wait

ROUNDS_MAX = 40
STEPS_MAX = 150
"""Several times what all that a history can have left undone takes; a reconciler that makes more without a pause is spinning."""
PAUSE_S = 5_000
"""Longer than any backoff, and than a clock that was set back an hour."""


def settle(world: World) -> None:
    """Let everything come to rest; that it does not is a violation of its own."""
    calm(world)
    quiet = 0
    for _ in range(ROUNDS_MAX):
        quiet = quiet + 1 if _round(world) else 0
        if quiet == 1:
            world.apply(_step(Kind.LOOK))
            world.clocks.pass_time(PAUSE_S)
        if quiet > 1 or world.violations:
            return
    world.violate("everything_comes_to_rest", f"not within {ROUNDS_MAX} rounds; {_unfinished(world)}")


def calm(world: World) -> None:
    """Links heal, clocks agree, what is on its way arrives, silent streams are found to be broken."""
    world.clocks.align(world.setting.replicas)
    world.wire.broken.clear()
    while world.wire.late:
        world.take_effect(0)
    for stream in world.mail.streams:
        stream.silent, stream.ended = False, stream.ended or stream.silent


def _round(world: World) -> bool:
    """Everybody does what they can; whether there was nothing to do."""
    world.mail.expire()
    for replica in range(world.setting.replicas):
        for kind in (Kind.LIST, Kind.LISTEN, Kind.LISTEN):
            world.apply(_step(kind, replica))
    waiting = len(world.mail.waiting)
    for which in range(waiting):
        world.mail.deliver(which)
    for replica in range(world.setting.replicas):
        world.apply(_step(Kind.LISTEN, replica))
    steps = sum(_reconcile(world, replica) for replica in range(world.setting.replicas))
    running = len(world.cluster.running)
    while world.cluster.running and not world.violations:
        world.apply(_step(Kind.RUN_PROGRESSES))
    world.clocks.pass_time(PAUSE_S if steps == world.setting.replicas else 1)
    at_rest = all(world.waits.get(replica) == Wait() for replica in range(world.setting.replicas))
    return at_rest and not waiting and not running and steps == world.setting.replicas


@cache
def _step(kind: Kind, replica: int = 0) -> Choice:
    """A step in which nothing goes wrong."""
    return Choice(kind=kind, replica=replica)


def _reconcile(world: World, replica: int) -> int:
    """Until the model has to wait; in how many steps."""
    for step in range(1, STEPS_MAX):
        world.apply(_step(Kind.RECONCILE, replica))
        if world.waits.get(replica) is not None or world.violations:
            return step
    world.violate("everything_comes_to_rest", f"{STEPS_MAX} steps without a pause; {_unfinished(world)}")
    return STEPS_MAX


def _unfinished(world: World) -> str:
    waits = ", ".join(str(wait) for wait in world.waits.values())
    return f"the reconciler waits as {waits}; {len(world.mail.waiting)} messages wait; {len(world.cluster.running)} runs go on"
