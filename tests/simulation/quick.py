"""Executes the ledger's statements on SQLite as SQLAlchemy compiles them, without its engine, which takes several times as long.

The SQL, the order of its parameters and what becomes of values on their way in and out are SQLAlchemy's; so are the errors. Left
out is all that the engine does anew for every execution. `test_parts.py` holds the one against the other.
"""

import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache, partial
from typing import Any, TypeVar

from sqlalchemy import ClauseElement
from sqlalchemy.dialects.sqlite import dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

from trainer_daemon.adapters.ledger.tables import UtcDateTime, metadata

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
        self._names = state.positiontup or ()
        self._lists = list(state.parameter_expansion.items())
        self._defaults = {name: value for name, value in compiled.params.items() if name not in sample}
        processors: Mapping[str, Any] = {**compiled._bind_processors, **state.processors}
        kinds = {name: bound.type for name, bound in compiled.binds.items()}
        self._ins = [
            (at, _process(kinds.get(name), processors[name])) for at, name in enumerate(self._names) if name in processors
        ]
        columns = compiled._result_columns
        self.columns = [column.keyname for column in columns]
        outs = [(at, column.type, column.type._cached_result_processor(DIALECT, None)) for at, column in enumerate(columns)]
        self._outs = [(at, _process(kind, process)) for at, kind, process in outs if process is not None]

    def bind(self, given: Parameters) -> Row:
        """The parameters in the order of their places."""
        values = {**self._defaults, **given}
        for name, places in self._lists:
            values.update(zip(places, given[name], strict=True))
        bound = list(map(values.__getitem__, self._names))
        for at, process in self._ins:
            bound[at] = process(bound[at])
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


def _process(kind: TypeEngine[Any] | None, process: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The same moments are written and read again and again."""
    return lru_cache(process) if isinstance(kind, UtcDateTime) else process


class Rows:
    """What came of a question, given as SQLAlchemy's results give it.

    Args:
        rows: Its rows.
        columns: Their names.
    """

    def __init__(self, rows: Sequence[Any], columns: Sequence[str] = ()) -> None:
        self._rows = rows
        self._columns = columns

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

    def mappings(self) -> "Rows":
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
        value: T
        if (known := self._answers.get(question)) is not None:
            value, tables, since = known
            if since == self._writes or max(map(self._written.__getitem__, tables), default=0) <= since:
                self._read |= tables
                return value
        outer, self._read = self._read, frozenset()
        value = ask()
        self._answers[question] = value, self._read, self._writes
        self._read |= outer
        return value


class Quick:
    """A connection with as much of SQLAlchemy's as the ledger uses; a statement is a transaction by itself, or within `begin`.

    A question is answered from memory where that is the same; every write is executed.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._prepared: dict[Any, Prepared] = {}
        self._lists: dict[Any, list[str]] = {}
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

    def execute(self, statement: ClauseElement, given: Parameters | list[Parameters] | None = None) -> Any:  # noqa: ANN401 - a result
        """See `sqlalchemy.Connection.execute`."""
        each = given if isinstance(given, list) else [given or {}]
        prepared = self._prepare(statement, each[0])
        if prepared.is_question:
            bound = prepared.bind(each[0])
            ask = partial(self._ask, prepared, bound)
            return Rows(ask() if prepared.tells_time else self.memory.answer((prepared, bound), ask), prepared.columns)
        self.memory.note_written(prepared.tables)
        try:
            if len(each) == 1:
                return self._connection.execute(prepared.sql, prepared.bind(each[0]))
            return self._connection.executemany(prepared.sql, [prepared.bind(one) for one in each])
        except sqlite3.Error as exc:
            raise DBAPIError.instance(prepared.sql, None, exc, sqlite3.Error, dialect=DIALECT) from exc

    def _ask(self, prepared: Prepared, bound: Row) -> list[Row]:
        self.memory.note_read(prepared.tables)
        return prepared.rows(self._connection.execute(prepared.sql, bound).fetchall())

    def _prepare(self, statement: ClauseElement, sample: Parameters) -> Prepared:
        """A statement, which exists as long as its module, is prepared once for each form of its parameters."""
        form: tuple[Any, ...] = (statement, *sample)
        if (lists := self._lists.get(form)) is None:
            lists = self._lists[form] = [name for name, value in sample.items() if isinstance(value, list)]
        if lists:
            form += tuple([len(sample[name]) for name in lists])
        if (found := self._prepared.get(form)) is None:
            compiled = statement.compile(dialect=DIALECT, column_keys=sorted(sample))
            assert isinstance(compiled, SQLCompiler)
            self._prepared[form] = found = Prepared(compiled, sample)
        return found

    def look(self, sql: str) -> list[Row]:
        """What a question of the simulator's own comes to."""
        return self.memory.answer(sql, partial(self._look, sql))

    def _look(self, sql: str) -> list[Row]:
        self.memory.note_read(tables_of(sql))
        return self._connection.execute(sql).fetchall()


@cache
def tables_of(sql: str) -> frozenset[str]:
    """The tables that a statement may touch: all that it names."""
    return frozenset(re.findall(r"\w+", sql)) & metadata.tables.keys()
