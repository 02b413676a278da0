"""What must hold at the moment of a call: asked of every acknowledgement, every promotion, and whatever a lease is needed for."""

from functools import cache
from typing import TYPE_CHECKING

from tests.simulation import moments, operators
from tests.simulation.replica import FENCED
from tests.simulation.wire import DEFERRABLE, DEFERRING, READS
from trainer_daemon.policy.notifications import Message

if TYPE_CHECKING:
    from tests.simulation.world import World


class Watch:
    """Looks over the shoulders of all daemons.

    Args:
        world: That they live in.
    """

    def __init__(self, world: "World") -> None:
        self._world = world
        self._confirmed_at: dict[int, int] = {}

    def on_ack(self, message: Message) -> None:
        """A message is about to be acknowledged."""
        stored = self._world.storage.uploads[int(message.attributes["objectGeneration"]) - 1]
        for invariant, facts in moments.wrong_with_ack(self._world.database.connection, stored.event_id):
            self._world.violate(invariant, facts)

    def on_call(self, link: str, name: str, arguments: tuple[object, ...], named: dict[str, object]) -> None:
        """A daemon makes a call."""
        base, number = _ends(link)
        if name == "renew_leases":
            self._confirmed_at[number] = self._world.tally.steps
        if base in DEFERRING and name in DEFERRABLE and not self._world.tally.ledger_jumps:
            self._holds("only_holders_act", number, f"{name} is begun by")
        if name == "move_champion":
            for invariant, facts in operators.wrong_with_move(self._world.database.connection, str(arguments[1])):
                self._world.violate(invariant, facts)
        if name == "promote":
            self._may_promote(number, str(arguments[1]), str(named["expected"]))

    def on_effect(self, link: str, name: str) -> None:
        """A call of a daemon has taken effect."""
        base, number = _ends(link)
        if base == FENCED and name not in READS:
            self._holds("only_holders_write", number, f"{name} is written by")
        if base in DEFERRING and self._usurper(number):
            self._world.note_late(name)

    def _holds(self, invariant: str, number: int, doing: str) -> None:
        if usurper := self._usurper(number):
            self._world.violate(invariant, f"{doing} daemon {number}, the lease is held by {usurper}")

    def _usurper(self, number: int) -> str:
        """Who holds the lease instead of this daemon, as far as the ledger knows."""
        replica = self._world.replicas[number]
        held = self._world.database.quick.look("SELECT holder FROM lease")
        holder = str(held[0][0]) if held else "nobody"
        return holder if replica is not None and replica.holder != holder else ""

    def _may_promote(self, number: int, version: str, expected: str) -> None:
        """What is recorded after the last look at the run, or while the lease is confirmed, comes second, as in the call."""
        key = self._world.registry.key_of(version)
        if not key or self._world.registry.aliases.get("champion") == version:
            return  # it is gone, and will be refused; or it is there already, and the rest is being finished
        promotion = moments.Promotion(key=key, version=version, expected=expected)
        is_confirmed = self._confirmed_at.get(number, self._world.tally.steps) == self._world.tally.steps
        is_instant = is_confirmed and self._world.wire.overtaken != "run"
        for invariant, facts in moments.wrong_with_promotion(self._world.database.connection, promotion):
            if is_instant or invariant not in moments.OVERTAKEN:
                self._world.violate(invariant, facts)


@cache
def _ends(link: str) -> tuple[str, int]:
    """What a daemon's link leads to, and the daemon's number."""
    base, _, number = link.rpartition(" ")
    return base, int(number)
