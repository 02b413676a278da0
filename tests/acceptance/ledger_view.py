"""What is in the ledger of a daemon under test: read from outside, by SQL of its own, at any instant, also while it is locked."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Version = tuple[str, str]
"""URI and generation of an object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A version of a drop that is on record.

    Attributes:
        recorded_at: Seconds since 1970.
    """

    source: str
    recorded_at: float
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A run of one drop."""

    key: str
    state: str
    attempt: int
    uri: str
    checksum: str


class LedgerView:
    """A ledger on SQLite.

    Args:
        path: Its file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def arrivals(self) -> dict[Version, Arrival]:
        """The drops that are on record."""
        query = "select uri, generation, source, recorded_at, outcome from event where kind = 'drop' and checksum != ''"
        return {
            (uri, generation): Arrival(source=source, recorded_at=_seconds(recorded_at), outcome=outcome)
            for uri, generation, source, recorded_at, outcome in self._rows(query)
        }

    def runs(self) -> list[RunRow]:
        """Every run, as it was queued."""
        query = "select key, state, attempt, uri, checksum from run join run_drop on run_key = key order by sequence"
        return [
            RunRow(key=key, state=state, attempt=attempt, uri=uri, checksum=checksum)
            for key, state, attempt, uri, checksum in self._rows(query)
        ]

    def decided(self) -> int:
        """How many runs have ended with a decision."""
        return self._number("select count(*) from run where state in ('PROMOTED', 'REJECTED')")

    def unfinished(self) -> int:
        """How many runs and events something is still to happen to."""
        runs = self._number("select count(*) from run where state in ('QUEUED', 'RUNNING', 'TRAINED')")
        return runs + self._number("select count(*) from event where outcome = 'pending'")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody can write within it."""
        with closing(sqlite3.connect(self._path, timeout=240, isolation_level=None)) as database:
            database.execute("begin immediate")
            try:
                yield
            finally:
                database.execute("rollback")

    def _number(self, query: str) -> int:
        return int(self._rows(query)[0][0])

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True, timeout=240)) as database:
            return list(database.execute(query))


def _seconds(stored: str) -> float:
    return datetime.fromisoformat(stored).replace(tzinfo=UTC).timestamp()
