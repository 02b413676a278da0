"""What a world looks like after its history, as plain values for the invariants."""

import sqlite3
from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.simulation.choices import Setting
from tests.simulation.services import Cluster, SimulatedRegistry
from tests.simulation.storage import Mail, Storage
from tests.simulation.world import Tally, World


class EventRow(NamedTuple):
    """A row of table `event`."""

    id: str
    source: str
    kind: str
    force: bool
    outcome: str
    why: str


class RunRow(NamedTuple):
    """A row of table `run`."""

    key: str
    period: str
    state: str
    attempt: int
    attempts_max: int
    event_id: str
    error: str
    ending: str


class Move(NamedTuple):
    """A row of table `transition`."""

    run_key: str
    from_state: str
    to_state: str
    attempt: int
    why: str


class Reign(NamedTuple):
    """A row of table `champion`."""

    version: str
    cause: str


class Wanted(NamedTuple):
    """A row of table `intervention`."""

    kind: str
    version: str
    outcome: str


class Line(NamedTuple):
    """A log line: its event, and the run or the drop's event that it is about."""

    event: str
    run: str
    event_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that an invariant may ask about.

    Attributes:
        drops: URI and checksum of what each run trained on, oldest first.
        decided: Champion and candidate of every decision to promote.
        lines_lost: How many log lines can be missing at most: a process that is killed after a write tells nothing of it.
    """

    setting: Setting
    events: dict[str, EventRow]
    runs: dict[str, RunRow]
    drops: dict[str, list[tuple[str, str]]]
    moves: list[Move]
    decided: set[tuple[str, str]]
    reigns: list[Reign]
    wanted: list[Wanted]
    lines: list[Line]
    storage: Storage
    mail: Mail
    cluster: Cluster
    registry: SimulatedRegistry
    tally: Tally
    lines_lost: int


def gather(world: World) -> Facts:
    """Read the ledger and look at everything else."""
    ledger = world.database.connection
    return Facts(
        setting=world.setting,
        events={row[0]: EventRow(*row) for row in _rows(ledger, 'id, source, kind, "force", outcome, why', "event")},
        runs={row[0]: RunRow(*row) for row in _rows(ledger, ", ".join(RunRow._fields), "run")},
        drops=_drops(ledger),
        moves=[Move(*row) for row in _rows(ledger, ", ".join(Move._fields), "transition", order="id")],
        decided=set(ledger.execute("SELECT champion_version, candidate_version FROM decision WHERE verdict = 'promote'")),
        reigns=[Reign(*row) for row in _rows(ledger, "version, cause", "champion", order="id")],
        wanted=[Wanted(*row) for row in _rows(ledger, ", ".join(Wanted._fields), "intervention", order="id")],
        lines=[Line(*(str(call.kwargs.get(name, "")) for name in Line._fields)) for call in world.log.calls],
        storage=world.storage,
        mail=world.mail,
        cluster=world.cluster,
        registry=world.registry,
        tally=world.tally,
        lines_lost=_lines_lost(world.wire.counts) + world.tally.kills,
    )


def _rows(ledger: sqlite3.Connection, columns: str, table: str, *, order: str = "rowid") -> list[tuple[Any, ...]]:
    query = f"SELECT {columns} FROM {table} ORDER BY {order}"  # noqa: S608 - constants of this module
    rows: list[tuple[Any, ...]] = ledger.execute(query).fetchall()
    return rows


def _drops(ledger: sqlite3.Connection) -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for key, uri, checksum in ledger.execute("SELECT run_key, uri, checksum FROM run_drop ORDER BY run_key, position"):
        found.setdefault(key, []).append((uri, checksum))
    return found


def _lines_lost(counts: Counter[str]) -> int:
    return counts["reply_lost"]
