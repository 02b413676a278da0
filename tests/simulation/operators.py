"""Operators who promote by force and roll back: what they ask for, and what must come of it."""

import random
import sqlite3
from collections.abc import Iterable, Iterator
from datetime import datetime

from tests.simulation.choices import Kind
from tests.simulation.services import SimulatedRegistry
from tests.simulation.storage import MODEL
from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.policy.interventions import Intervention
from trainer_daemon.policy.marks import ROLLED_BACK_TAG

KINDS = frozenset({Kind.OPERATOR_PROMOTES, Kind.OPERATOR_ROLLS_BACK})
_HISTORIES = 0.3


def kinds(seed: str) -> frozenset[Kind]:
    """What operators do in this history; by chances of its own, so that all other histories stay what they are."""
    return KINDS if random.Random(f"{seed}:operators").random() < _HISTORIES else frozenset()


def weights(registry: SimulatedRegistry) -> tuple[float, float]:
    """How likely they are to promote something by force now, and to roll back."""
    regrets = bool(registry.story) and registry.story[-1][0] == "operator"
    return 3 * bool(registry.versions), (25 if regrets else 4) * bool(_previous(registry))


def ask(kind: Kind, which: int, registry: SimulatedRegistry, people: Ledger, now: datetime) -> None:
    """As the command line does, in a process of its own."""
    champion = registry.aliases.get("champion", "")
    known = sorted(registry.versions.values(), key=int)
    newest_first = known[::-1]
    version = _previous(registry) if kind is Kind.OPERATOR_ROLLS_BACK else newest_first[which // 3 % len(known)] if known else ""
    if not version or version == champion:
        return
    wish = Intervention(
        model=MODEL,
        kind="rollback" if kind is Kind.OPERATOR_ROLLS_BACK else "promote",
        version=version,
        replaces=champion,
        by="ann",
        reason="she knows better",
        at=now,
    )
    people.ask(wish)
    registry.asked.append(wish)


def _previous(registry: SimulatedRegistry) -> str:
    """Where a rollback goes, unless somebody took that back, too."""
    version = registry.aliases.get("previous-champion", "")
    if not version:
        return ""
    is_there = version in registry.versions.values() and version != registry.aliases.get("champion")
    return version if is_there and not registry.tags.get(version, {}).get(ROLLED_BACK_TAG) else ""


def wrong_with_move(ledger: sqlite3.Connection, version: str) -> Iterator[tuple[str, str]]:
    """A daemon is about to move the alias for a person, who has asked for that."""
    query = "SELECT 1 FROM intervention WHERE outcome = 'pending' AND version = ?"
    if ledger.execute(query, (version,)).fetchone() is None:
        yield "operators_are_asked_first", f"version {version} is to be champion for a person, and nobody asked for that"


def brought_back(registry: SimulatedRegistry, done: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Versions that a person took back and a run made champion again.

    Args:
        registry: Its story is told.
        done: Kind and version of what was carried out, in its order; what was forgotten with a ledger shows by marks only.
    """
    carried_out = iter(done)
    barred: set[str] = set()
    for who, before, version in registry.story:
        match who:
            case "mark":
                barred.add(version)
            case "run":
                yield from {version} & barred
            case _:
                barred.discard(version)
        if who == "operator" and next((kind for kind, wanted in carried_out if wanted == version), "") == "rollback":
            barred.add(before)
