"""Executes the ledger's statements on SQLite as SQLAlchemy compiles them, without its engine, which takes several times as long.

The SQL, the order of its parameters and what becomes of values on their way in and out are SQLAlchemy's; so are the errors. Left
out is all that the engine does anew for every execution. `test_parts.py` holds the one against the other.
"""

import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import ClauseElement
from sqlalchemy.dialects.sqlite import dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler

from trainer_daemon.adapters.ledger.tables import metadata

DIALECT = dialect()
Parameters = Mapping[str, Any]
Row = tuple[Any, ...]
T = TypeVar("T")


class Prepared:
    """One statement with the names of its parameters, and so many values for each that is a list."""

    def __init__(self, compiled: SQLCompiler, sample: Parameters) -> None:
        state = compiled.construct_expanded_state({**compiled.params, **sample})
        self.sql = state.statement
        self.is_question = self.sql.startswith("SELECT")
        self.tells_time = "ledger_clock" in self.sql
        self.tables = tables_of(self.sql)
        processors: Mapping[str, Any] = {**compiled._bind_processors, **state.processors}
        origin = {new: (old, at) for old, news in state.parameter_expansion.items() for at, new in enumerate(news)}
        self._binds = [(*origin.get(name, (name, None)), processors.get(name)) for name in state.positiontup or ()]
        self._defaults = compiled.params
        self.columns = [column.keyname for column in compiled._result_columns]
        kinds = [column.type._cached_result_processor(DIALECT, None) for column in compiled._result_columns]
        self._outs = [(at, process) for at, process in enumerate(kinds) if process is not None]

    def bind(self, given: Parameters) -> Row:
        """The parameters in the order of their places."""
        values = {**self._defaults, **given}
        bound = []
        for name, at, process in self._binds:
            value = values[name] if at is None else values[name][at]
            bound.append(value if process is None else process(value))
        return tuple(bound)

    def rows(self, found: list[Row]) -> list[Row]:
        """What came, as the types of its columns want it."""
        if not self._outs:
            return found
        return [self._row(list(row)) for row in found]

    def _row(self, values: list[Any]) -> Row:
        for at, process in self._outs:
            values[at] = process(values[at])
        return tuple(values)


class Rows:
    """What came of a question, given as SQLAlchemy's results give it."""

    def __init__(self, rows: Sequence[Any]) -> None:
        self._rows = rows

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def all(self) -> Sequence[Any]:
        """Every row."""
        return self._rows

    def first(self) -> Any:  # noqa: ANN401 - a row of any columns
        """The first row, if there is one."""
        return self._rows[0] if self._rows else None

    def one(self) -> Any:  # noqa: ANN401 - a row of any columns
        """The only row."""
        (row,) = self._rows
        return row

    def scalar_one(self) -> Any:  # noqa: ANN401 - any value
        """The first column of the only row."""
        return self.one()[0]

    def scalar(self) -> Any:  # noqa: ANN401 - any value
        """The first column of the first row, if there is one."""
        return self._rows[0][0] if self._rows else None

    def scalars(self) -> "Rows":
        """The first column."""
        return Rows([row[0] for row in self._rows])


class Answer(Rows):
    """Rows whose columns have names."""

    def __init__(self, columns: list[str], rows: Sequence[Row]) -> None:
        super().__init__(rows)
        self._columns = columns

    def mappings(self) -> Rows:
        """The rows by the names of their columns."""
        columns = self._columns
        return Rows([dict(zip(columns, row, strict=True)) for row in self._rows])


class Memory:
    """Answers that hold as long as no table that was read for them is written."""

    def __init__(self) -> None:
        self._answers: dict[Any, tuple[Any, frozenset[str], int]] = {}
        self._written: dict[str, int] = dict.fromkeys(metadata.tables, 0)
        self._writes = 0
        self._read: frozenset[str] = frozenset()

    def forget(self) -> None:
        """Everything may have changed."""
        self._answers.clear()

    def note_read(self, tables: frozenset[str]) -> None:
        """What is being answered depends on these tables."""
        self._read |= tables

    def note_written(self, tables: frozenset[str]) -> None:
        """What depends on these tables may be true no longer."""
        self._writes += 1
        for table in tables:
            self._written[table] = self._writes

    def answer(self, question: Any, ask: Callable[[], T]) -> T:  # noqa: ANN401 - any question
        """The answer of now; asked for only when something has changed since it was given."""
        known = self._answers.get(question)
        if known is not None and (known[2] == self._writes or self._holds(known[1], known[2])):
            self._read |= known[1]
            value: T = known[0]
            return value
        outer, self._read = self._read, frozenset()
        value = ask()
        self._answers[question] = value, self._read, self._writes
        self._read |= outer
        return value

    def _holds(self, tables: frozenset[str], since: int) -> bool:
        return max([self._written[table] for table in tables], default=0) <= since


class Quick:
    """A connection with as much of SQLAlchemy's as the ledger uses; a statement is a transaction by itself, or within `begin`.

    A question is answered from memory where that is the same; every write is executed.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._prepared: WeakKeyDictionary[ClauseElement, dict[Any, Prepared]] = WeakKeyDictionary()
        self.memory = Memory()

    @contextmanager
    def begin(self) -> Iterator["Quick"]:
        """One transaction."""
        self._connection.execute("SAVEPOINT ledger")
        try:
            yield self
        except BaseException:
            self._connection.execute("ROLLBACK TO ledger")
            self.memory.forget()
            raise
        finally:
            self._connection.execute("RELEASE ledger")

    def execute(self, statement: ClauseElement, given: Parameters | Sequence[Parameters] | None = None) -> Any:  # noqa: ANN401 - a result
        """See `sqlalchemy.Connection.execute`."""
        each: Sequence[Parameters] = [given or {}] if given is None or isinstance(given, Mapping) else given
        prepared = self._prepare(statement, each[0])
        if prepared.is_question:
            return Answer(prepared.columns, self._answer(prepared, prepared.bind(each[0])))
        self.memory.note_written(prepared.tables)
        try:
            if len(each) == 1:
                return self._connection.execute(prepared.sql, prepared.bind(each[0]))
            return self._connection.executemany(prepared.sql, [prepared.bind(one) for one in each])
        except sqlite3.Error as exc:
            raise DBAPIError.instance(prepared.sql, None, exc, sqlite3.Error, dialect=DIALECT) from exc

    def _answer(self, prepared: Prepared, bound: Row) -> list[Row]:
        if prepared.tells_time:
            return self._ask(prepared, bound)
        return self.memory.answer((prepared, bound), lambda: self._ask(prepared, bound))

    def _ask(self, prepared: Prepared, bound: Row) -> list[Row]:
        self.memory.note_read(prepared.tables)
        return prepared.rows(self._connection.execute(prepared.sql, bound).fetchall())

    def _prepare(self, statement: ClauseElement, sample: Parameters) -> Prepared:
        """A statement that exists as long as its module is prepared once for each form of its parameters."""
        known = self._prepared.setdefault(statement, {})
        form = tuple([(name, len(value)) if isinstance(value, list) else name for name, value in sample.items()])
        if (found := known.get(form)) is None:
            compiled = statement.compile(dialect=DIALECT, column_keys=sorted(sample))
            assert isinstance(compiled, SQLCompiler)
            known[form] = found = Prepared(compiled, sample)
        return found

    def look(self, sql: str) -> list[Row]:
        """What a question of the simulator's own comes to."""
        return self.memory.answer(sql, lambda: self._look(sql))

    def _look(self, sql: str) -> list[Row]:
        self.memory.note_read(tables_of(sql))
        return self._connection.execute(sql).fetchall()


def tables_of(sql: str) -> frozenset[str]:
    """The tables that a statement may touch: all that it names."""
    return frozenset(re.findall(r"\w+", sql)) & metadata.tables.keys()
