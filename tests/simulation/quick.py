"""Executes the ledger's statements on SQLite as SQLAlchemy compiles them, without its engine, which takes several times as long.

The SQL, the order of its parameters and what becomes of values on their way in and out are SQLAlchemy's; so are the errors. Left
out is all that the engine does anew for every execution. `test_parts.py` holds the one against the other.
"""

import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache, partial
from operator import itemgetter
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
MOMENTS = 10_000
"""So many are remembered; every history begins at the same one, so most are those of earlier histories."""


class Prepared:
    """One statement with the names of its parameters, and so many values for each that is a list."""

    def __init__(self, compiled: SQLCompiler, sample: Parameters) -> None:
        state = compiled.construct_expanded_state({**compiled.params, **sample})
        self.sql = state.statement
        self.is_question = self.sql.startswith("SELECT")
        self.tells_time = "ledger_clock" in self.sql
        self.tables = tables_of(self.sql)
        names = tuple(state.positiontup or ())
        self._values_of = _picker(names)
        self._lists = list(state.parameter_expansion.items())
        self._defaults = {name: value for name, value in compiled.params.items() if name not in sample}
        processors: Mapping[str, Any] = {**compiled._bind_processors, **state.processors}
        kinds = {name: bound.type for name, bound in compiled.binds.items()}
        self._ins = [(at, _process(kinds.get(name), processors[name])) for at, name in enumerate(names) if name in processors]
        columns = compiled._result_columns
        self.columns = [column.keyname for column in columns]
        outs = [(at, column.type, column.type._cached_result_processor(DIALECT, None)) for at, column in enumerate(columns)]
        self._outs = [(at, _process(kind, process)) for at, kind, process in outs if process is not None]

    def bind(self, given: Parameters) -> Row:
        """The parameters in the order of their places."""
        if self._defaults or self._lists:
            given = {**self._defaults, **given}
            for name, places in self._lists:
                given.update(zip(places, given[name], strict=True))
        bound = self._values_of(given)
        if not self._ins:
            return bound
        processed = list(bound)
        for at, process in self._ins:
            processed[at] = process(processed[at])
        return tuple(processed)

    def rows(self, found: list[Row]) -> "Rows":
        """What came, as the types of its columns want it."""
        return Rows([self._row(list(row)) for row in found] if self._outs else found, self.columns)

    def _row(self, values: list[Any]) -> Row:
        for at, process in self._outs:
            values[at] = process(values[at])
        return tuple(values)


def _picker(names: Row) -> Callable[[Parameters], Row]:
    """Takes the values of these names."""
    match names:
        case ():
            return lambda _: ()
        case (name,):
            return lambda values: (values[name],)
        case _:
            return itemgetter(*names)


def _process(kind: TypeEngine[Any] | None, process: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The same moments are written and read again and again, in every history."""
    return lru_cache(MOMENTS)(process) if isinstance(kind, UtcDateTime) else process


class Rows:
    """What came of a question, given as SQLAlchemy's results give it.

    Args:
        rows: Its rows.
        columns: Their names.
    """

    def __init__(self, rows: Sequence[Any], columns: Sequence[str] = ()) -> None:
        self._rows = rows
        self._columns = columns
        self._mappings: Rows | None = None

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
        if self._mappings is None:
            columns = self._columns
            self._mappings = Rows([dict(zip(columns, row, strict=True)) for row in self._rows])
        return self._mappings


class Memory:
    """Answers that hold until a table that was read for them is written."""

    def __init__(self) -> None:
        self.answers: dict[Any, tuple[Any, frozenset[str]]] = {}
        self._resting_on: dict[str, list[Any]] = {table: [] for table in metadata.tables}
        self._read: set[str] = set()
        self._rows: dict[tuple[Prepared, Row], tuple[int, Rows]] = {}
        self._written: dict[str, int] = dict.fromkeys(metadata.tables, 0)
        self._writes = 0

    def forget(self) -> None:
        """Everything may have changed."""
        self.answers.clear()
        self._rows.clear()
        for questions in self._resting_on.values():
            questions.clear()

    def note_read(self, tables: frozenset[str]) -> None:
        """What is being answered rests on these tables."""
        self._read |= tables

    def note_written(self, tables: frozenset[str]) -> None:
        """What rests on these tables may be true no longer."""
        self._writes += 1
        for table in tables:
            self._written[table] = self._writes
            questions = self._resting_on[table]
            for question in questions:
                self.answers.pop(question, None)
            questions.clear()

    def answer(self, question: Any, ask: Callable[[], T]) -> T:  # noqa: ANN401 - any question
        """The answer of now; asked for only when something has changed since it was given."""
        value: T
        if (known := self.answers.get(question)) is not None:
            value, tables = known
            self._read |= tables
            return value
        outer, self._read = self._read, set()
        try:
            value = ask()
            tables = frozenset(self._read)
            self.answers[question] = value, tables
            for table in tables:
                self._resting_on[table].append(question)
        finally:
            self._read |= outer
        return value

    def rows(self, prepared: Prepared, bound: Row) -> Rows | None:
        """What a statement came to, if nothing has changed since; most answers change sooner than all that they rest on."""
        known = self._rows.get((prepared, bound))
        if known is None or known[0] < max(map(self._written.__getitem__, prepared.tables)):
            return None
        return known[1]

    def keep(self, prepared: Prepared, bound: Row, rows: Rows) -> None:
        """What a statement comes to now."""
        self._rows[prepared, bound] = self._writes, rows


class Transaction:
    """One transaction; taken back when it ends with an error."""

    def __init__(self, quick: "Quick", execute: Callable[[str], object]) -> None:
        self._quick, self._execute = quick, execute

    def __enter__(self) -> "Quick":
        self._execute("SAVEPOINT ledger")
        return self._quick

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is not None:
            self._execute("ROLLBACK TO ledger")
            self._quick.memory.forget()
        self._execute("RELEASE ledger")


class Quick:
    """A connection with as much of SQLAlchemy's as the ledger uses; a statement is a transaction by itself, or within `begin`.

    A question is answered from memory where that is the same; every write is executed.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._execute = connection.cursor().execute
        self._prepared: dict[Any, Prepared] = {}
        self._lists: dict[Any, list[str]] = {}
        self._transaction = Transaction(self, connection.cursor().execute)
        self.memory = Memory()

    def begin(self) -> Transaction:
        """One transaction."""
        return self._transaction

    def execute(self, statement: ClauseElement, given: Parameters | list[Parameters] | None = None) -> Any:  # noqa: ANN401 - a result
        """See `sqlalchemy.Connection.execute`."""
        one = (given[0] if isinstance(given, list) else given) or {}
        prepared = self._prepare(statement, one)
        if prepared.is_question:
            return self._answer(prepared, prepared.bind(one))
        self.memory.note_written(prepared.tables)
        try:
            if isinstance(given, list):
                return self._connection.executemany(prepared.sql, [prepared.bind(each) for each in given])
            return self._execute(prepared.sql, prepared.bind(one))
        except sqlite3.Error as exc:
            raise DBAPIError.instance(prepared.sql, None, exc, sqlite3.Error, dialect=DIALECT) from exc

    def _answer(self, prepared: Prepared, bound: Row) -> Rows:
        self.memory.note_read(prepared.tables)
        if prepared.tells_time:
            return prepared.rows(self._execute(prepared.sql, bound).fetchall())
        if (rows := self.memory.rows(prepared, bound)) is None:
            rows = prepared.rows(self._execute(prepared.sql, bound).fetchall())
            self.memory.keep(prepared, bound, rows)
        return rows

    def _prepare(self, statement: ClauseElement, sample: Parameters) -> Prepared:
        """A statement, which exists as long as its module, is prepared once for each form of its parameters."""
        form: tuple[Any, ...] = (statement, *sample)
        if (found := self._prepared.get(form)) is not None:
            return found
        if (lists := self._lists.get(form)) is None:
            lists = self._lists[form] = [name for name, value in sample.items() if isinstance(value, list)]
        sized = (*form, *[len(sample[name]) for name in lists])
        if (found := self._prepared.get(sized)) is None:
            compiled = statement.compile(dialect=DIALECT, column_keys=sorted(sample))
            assert isinstance(compiled, SQLCompiler)
            self._prepared[sized] = found = Prepared(compiled, sample)
        return found

    def look(self, sql: str) -> list[Row]:
        """What a question of the simulator's own comes to."""
        return self.memory.answer(sql, partial(self._look, sql))

    def _look(self, sql: str) -> list[Row]:
        self.memory.note_read(tables_of(sql))
        return self._execute(sql).fetchall()


@cache
def tables_of(sql: str) -> frozenset[str]:
    """The tables that a statement may touch: all that it names."""
    return frozenset(re.findall(r"\w+", sql)) & metadata.tables.keys()
