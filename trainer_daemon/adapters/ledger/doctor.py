"""A look at the ledger's database that neither makes nor changes anything, except for a write that is taken back."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, NullPool, create_engine, event, make_url, text

from trainer_daemon.adapters.ledger.database import is_sqlite, translated
from trainer_daemon.adapters.ledger.migrating import LATEST, schema_version
from trainer_daemon.errors import PermanentError, TemporaryError

_BUSY_S = 5.0
SERVER_MIN = 12
"""Older versions of PostgreSQL are not maintained any more, and nobody has tried one."""
_PROBE = "CREATE TABLE trainer_doctor (probe INTEGER)"
_OWNED = text(
    "SELECT count(*) FROM pg_class WHERE relname IN ('event', 'run', 'alembic_version') AND relkind = 'r' "
    "AND pg_table_is_visible(oid) AND NOT pg_has_role(relowner, 'USAGE')"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerState:
    """What was seen of a ledger that can be written.

    Attributes:
        version: Of its tables; empty when there are none yet.
        server: What a database that is no file says it is, `PostgreSQL 18.4`; empty for a file.
        server_major: The first part of its version; 0 for a file.
        clock_ahead_s: How far the server's clock is ahead of this machine's, as far as one question tells; 0 for a file.
    """

    version: str
    server: str = ""
    server_major: int = 0
    clock_ahead_s: float = 0.0


def missing_file(url: str) -> Path | None:
    """The SQLite file that a ledger's URL names, if it does not exist."""
    if not is_sqlite(url):
        return None
    path = Path(make_url(url).database or "")
    return None if path.exists() else path


def ledger_state(url: str, clock: Callable[[], datetime]) -> LedgerState:
    """What is known of a ledger that can be written.

    Args:
        url: Of its database.
        clock: Now, in UTC, on this machine.

    Raises:
        TemporaryError: It cannot be reached or written.
        PermanentError: A newer version of the daemon has used it, it is no database, or this account may not make its tables.
    """
    engine = _engine(url)
    try:
        with translated(), engine.connect() as connection:
            state = _look(connection, clock)
    except (TemporaryError, PermanentError) as exc:
        msg = f"{exc}; see that {make_url(url).render_as_string()} is the right database and that this account may write it"
        raise type(exc)(msg) from exc
    finally:
        engine.dispose()
    if state.version > LATEST:
        msg = f"the ledger is of version {state.version}, this program knows {LATEST}"
        msg = f"{msg}; upgrade it, a newer daemon has used the ledger"
        raise PermanentError(msg)
    return state


def _engine(url: str) -> Engine:
    if not is_sqlite(url):
        from trainer_daemon.adapters.ledger.postgres import bounded_engine

        return bounded_engine(url)
    source = f"{Path(make_url(url).database or '').absolute().as_uri()}?mode=rw"
    engine = create_engine(
        "sqlite://", poolclass=NullPool, creator=lambda: sqlite3.connect(source, uri=True, timeout=_BUSY_S, isolation_level=None)
    )
    # the driver would begin no transaction for a CREATE TABLE, which could then not be taken back
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def _look(connection: Connection, clock: Callable[[], datetime]) -> LedgerState:
    """The last statements are writes: the transaction is not committed."""
    version = schema_version(connection)
    if connection.dialect.name == "sqlite":
        connection.execute(text("UPDATE alembic_version SET version_num = version_num" if version else _PROBE))
        return LedgerState(version=version)
    name, number = connection.execute(
        text("SELECT current_setting('server_version'), current_setting('server_version_num')")
    ).one()
    ahead_s = _clock_ahead_s(connection, clock)
    _require_rights(connection)
    return LedgerState(
        version=version, server=f"PostgreSQL {name.split()[0]}", server_major=int(number) // 10_000, clock_ahead_s=ahead_s
    )


def _clock_ahead_s(connection: Connection, clock: Callable[[], datetime]) -> float:
    before = clock()
    theirs: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    after = clock()
    return (
        min((theirs - before).total_seconds(), (theirs - after).total_seconds(), key=abs)
        if not before <= theirs <= after
        else 0.0
    )


def _require_rights(connection: Connection) -> None:
    """A migration makes tables, and changes those that are there, which only their owner may."""
    connection.execute(text(_PROBE))
    if connection.execute(_OWNED).scalar():
        msg = "ledger: its tables belong to another account, so that this one could not upgrade them"
        raise PermanentError(msg)
