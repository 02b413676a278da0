"""Opening the ledger's database: connection settings, and the translation of its errors."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, SQLAlchemyError

from trainer_daemon.adapters.ledger.clock import define_clock
from trainer_daemon.adapters.ledger.migrating import migrate
from trainer_daemon.errors import PermanentError, TemporaryError
from trainer_daemon.policy.failures import is_full_disk

BUSY_TIMEOUT_S = 10
KEYS_PER_QUERY = 500
REPEATS_MAX = 5
_PAUSE_S = 0.05
_CONFLICTS = {"40001", "40P01"}
"""Another transaction came first: serialization_failure, deadlock_detected."""
_PASSING = {"25006", "25P03"}
"""It is a standby for now; a transaction was idle for too long. psycopg counts them among the caller's mistakes."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


class ConflictError(TemporaryError):
    """The database gave up this transaction for another one; nothing of it has happened."""


def open_engine(url: str) -> Engine:
    """Connect and bring the schema up to date.

    Raises:
        TemporaryError: The database cannot be reached.
        PermanentError: The database was written by a newer version of the daemon.
    """
    if not is_sqlite(url):
        return _on_postgres(url)
    Path(make_url(url).database or "").parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_immediately)
    with translated():
        migrate(engine)
    return engine


def _on_postgres(url: str) -> Engine:
    from trainer_daemon.adapters.ledger.postgres import bounded_engine, lock_writes, migrating_engine

    with translated():
        migrate(migrating_engine(url), lock_writes)
    engine = bounded_engine(url, isolation_level="READ COMMITTED")
    event.listen(engine, "begin", lock_writes)
    return engine


def reading_engine(url: str) -> Engine:
    """Connections that only look: to switch those of the writing engine to autocommit and back takes longer than a look."""
    if not is_sqlite(url):
        from trainer_daemon.adapters.ledger.postgres import looking_engine

        return looking_engine(url)
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def is_sqlite(url: str) -> bool:
    """Whether the database is a file."""
    return make_url(url).drivername.startswith("sqlite")


def _prepare_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 - a driver's connection has no common type
    """Write-ahead log with full synchronisation: a row that was committed survives a power cut. And a clock for leases."""
    define_clock(connection)
    connection.isolation_level = None  # transactions begin where _begin_immediately says, not where the driver guesses
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_TIMEOUT_S * 1000}"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediately(connection: Connection) -> None:
    """Take the write lock first: a transaction that reads, then writes, must not lose a race in between."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextmanager
def translated() -> Iterator[None]:
    """Turn the database's errors into TemporaryError or PermanentError; an integrity error passes: it is an answer."""
    try:
        yield
    except IntegrityError:
        raise
    except DBAPIError as exc:
        raise _translation(exc) from exc
    except SQLAlchemyError as exc:
        msg = f"ledger: {exc}"
        raise PermanentError(msg) from exc


def _translation(exc: DBAPIError) -> TemporaryError | PermanentError:
    """The error in this package's words, on one line: a server's own take several."""
    advice = "; make room on its disk, nothing is lost meanwhile" if is_full_disk(str(exc.orig)) else ""
    msg = f"ledger: {' '.join(str(exc.orig).split())}{advice}"
    state = getattr(exc.orig, "sqlstate", None)
    if state in _CONFLICTS:
        return ConflictError(msg)
    is_passing = isinstance(exc, OperationalError) or exc.connection_invalidated or state in _PASSING
    return TemporaryError(msg) if is_passing else PermanentError(msg)


def repeated(write: Callable[_P, _T]) -> Callable[_P, _T]:
    """A method that is one transaction, tried again, a few times, when the database gave it up for another one."""

    @wraps(write)
    def written(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        for again in range(REPEATS_MAX):
            try:
                return write(*args, **kwargs)
            except ConflictError:
                time.sleep(_PAUSE_S * 2**again * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
        return write(*args, **kwargs)

    return written


def chunks(keys: Sequence[str]) -> Iterator[list[str]]:
    """As many keys at a time as one statement may name; the last is repeated until their number is a power of two.

    Each number of keys is another statement, and drivers keep the statements that they have prepared: a bucket that grows by one
    drop at a time would fill megabytes with them.
    """
    for start in range(0, len(keys), KEYS_PER_QUERY):
        some = list(keys[start : start + KEYS_PER_QUERY])
        yield some + some[-1:] * ((1 << (len(some) - 1).bit_length()) - len(some))
