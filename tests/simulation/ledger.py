"""The real ledger on a SQLite database in memory, which begins every history as a copy of one that was migrated.

Building and executing a statement costs a third of a millisecond, and a daemon asks the same again and again. So an answer is
remembered until a table that its statements name is written; every write and every first question is executed.
"""

import re
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, StaticPool, create_engine, event

from trainer_daemon.adapters.ledger import Ledger, Notices
from trainer_daemon.adapters.ledger.database import _begin_immediately, translated
from trainer_daemon.adapters.ledger.reading import LedgerReader
from trainer_daemon.adapters.ledger.tables import metadata


class Database:
    """The one database of this process: it outlives every daemon that is killed, and is emptied between histories."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self._answers: dict[Any, tuple[Any, dict[str, int]]] = {}
        self._written: dict[str, int] = dict.fromkeys(metadata.tables, 0)
        self._asked: set[str] = set()
        self.engine = self._engine()
        event.listen(self.engine, "begin", _begin_immediately)
        self.empty()
        self.reader = self._engine(isolation_level="AUTOCOMMIT").connect()

    def _engine(self, **options: str) -> Engine:
        engine = create_engine("sqlite://", creator=lambda: self.connection, poolclass=StaticPool, **options)
        event.listen(engine, "before_cursor_execute", self._note)
        return engine

    def empty(self) -> None:
        """Begin again."""
        self.connection.deserialize(_template())
        self.connection.execute("PRAGMA foreign_keys=ON")
        self._answers.clear()

    def answer(self, question: Any, ask: Callable[[], Any]) -> Any:  # noqa: ANN401 - any question
        """The answer of now; asked for only when a table has changed since it was given."""
        known = self._answers.get(question)
        if known is not None and all(self._written[table] == version for table, version in known[1].items()):
            return known[0]
        self._asked.clear()
        answer = ask()
        self._answers[question] = answer, {table: self._written[table] for table in self._asked}
        return answer

    def _note(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        named = _tables(statement)
        self._asked |= named
        if not statement.startswith("SELECT"):
            for table in named:
                self._written[table] += 1


@cache
def _tables(statement: str) -> frozenset[str]:
    """The tables that a statement may touch: all that it names."""
    return frozenset(re.findall(r"\w+", statement)) & metadata.tables.keys()


class SimulatedLedger(Ledger):
    """The ledger itself, on a connection that exists."""

    def __init__(self, database: Database) -> None:  # super().__init__ would open and migrate a database of its own
        self._database = database
        self._engine = database.engine
        self.notices = Notices()

    def close(self) -> None:
        """The next daemon uses the same connection."""

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """One connection that stays open; preparing one for each question would cost as much as the question."""
        with translated():
            yield self._database.reader


def _remembering(name: str) -> Callable[..., Any]:
    """A reading method that asks the database only when something has changed."""
    method = getattr(LedgerReader, name)

    @wraps(method)
    def asked(self: SimulatedLedger, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - any method
        question = (name, tuple(map(_fixed, args)), *kwargs.items())
        return self._database.answer(question, lambda: method(self, *args, **kwargs))

    return asked


def _fixed(argument: Any) -> Any:  # noqa: ANN401 - any argument
    return tuple(argument) if isinstance(argument, list) else argument


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
