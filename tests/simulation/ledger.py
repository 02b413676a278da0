"""The real ledger on a SQLite database in memory, which begins every history as a copy of one that was migrated.

Most of a history would be spent on executing statements. So that is what `quick` does, and an answer is remembered until a table
that its statements name is written; every write and every first question is executed.
"""

import sqlite3
import tempfile
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import cache, partial, wraps
from inspect import signature
from pathlib import Path
from typing import Any

from tests.simulation.quick import Quick
from trainer_daemon.adapters.ledger import Ledger, Notices
from trainer_daemon.adapters.ledger.clock import define_clock
from trainer_daemon.adapters.ledger.reading import LedgerReader

STATEMENTS = 1_000
"""More than the ledger has, in all the forms that they take."""


class Database:
    """The one database of this process: it outlives every daemon that is killed, and is emptied between histories.

    Attributes:
        clock: Its own, which leases expire by.
    """

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=STATEMENTS)
        self.connection.deserialize(_template())
        self.connection.execute("PRAGMA foreign_keys=ON")
        self.clock: Callable[[], float] = lambda: 0.0
        define_clock(self.connection, lambda: self.clock())  # noqa: PLW0108 - every world has its own
        self.quick = Quick(self.connection)

    def empty(self) -> None:
        """Begin again: all of a history is one transaction, taken back when the next one begins."""
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")
        self.connection.execute("BEGIN")
        self.quick.memory.forget()


class SimulatedLedger(Ledger):
    """The ledger itself, on a connection that exists."""

    def __init__(self, database: Database) -> None:  # super().__init__ would open and migrate a database of its own
        self._engine: Any = database.quick
        self._memory: Any = database.quick.memory
        self._known: Mapping[Any, Any] = database.quick.memory.answers
        self._open = nullcontext(database.quick)
        self.notices = Notices()

    def close(self) -> None:
        """The next daemon uses the same connection."""

    def _reading(self) -> Any:  # noqa: ANN401 - whatever a `with` takes
        """One connection that stays open; preparing one for each question would cost as much as the question."""
        return self._open


def _remembering(name: str) -> Callable[..., Any]:
    """A reading method that asks the database only when something has changed."""
    method = getattr(LedgerReader, name)
    is_plural = any("Sequence" in str(parameter.annotation) for parameter in signature(method).parameters.values())

    @wraps(method)
    def asked(self: SimulatedLedger, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - any method
        given = [tuple(arg) if isinstance(arg, list) else arg for arg in args] if is_plural else args
        question = (name, *given, *kwargs.items()) if kwargs else (name, *given)
        known = self._known.get(question)
        return self._memory.answer(question, partial(method, self, *args, **kwargs)) if known is None else known[0]

    return asked


_READS = [name for name, value in vars(LedgerReader).items() if not name.startswith("_") and callable(value) and name != "close"]
for _name in _READS:
    setattr(SimulatedLedger, _name, _remembering(_name))
METHODS = frozenset(name for name in dir(Ledger) if not name.startswith("_") and callable(getattr(Ledger, name)))


@cache
def database() -> Database:
    """Statements that SQLAlchemy has compiled once are kept with the engine, so there is one for all histories."""
    return Database()


@cache
def _template() -> bytes:
    """A migrated, empty database as one string of bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        Ledger(f"sqlite:///{path}").close()
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA journal_mode=DELETE")  # a database in memory has no write-ahead log
        content = connection.serialize()
        connection.close()
    return content
