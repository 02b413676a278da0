"""A look at the ledger's database that neither makes nor changes anything, except for a write that is taken back."""

import sqlite3
from pathlib import Path

from sqlalchemy import Engine, NullPool, create_engine, event, inspect, make_url, text

from trainer_daemon.adapters.ledger.database import LATEST, translated
from trainer_daemon.errors import PermanentError, TemporaryError

_BUSY_S = 5.0
_CONNECT_S = 5


def missing_file(url: str) -> Path | None:
    """The SQLite file that a ledger's URL names, if it does not exist."""
    where = make_url(url)
    if not where.drivername.startswith("sqlite"):
        return None
    path = Path(where.database or "")
    return None if path.exists() else path


def schema_version(url: str) -> str:
    """The version of the tables of a ledger that can be written; empty when there are none yet.

    Raises:
        TemporaryError: It cannot be reached or written.
        PermanentError: A newer version of the daemon has used it, or it is no database.
    """
    engine = _engine(url)
    try:
        with translated():
            version = _version(engine)
            _try_writing(engine, version)
    except (TemporaryError, PermanentError) as exc:
        msg = f"{exc}; see that {make_url(url).render_as_string()} is the right database and that this account may write it"
        raise type(exc)(msg) from exc
    finally:
        engine.dispose()
    if version > LATEST:
        msg = f"the ledger is of version {version}, this program knows {LATEST}; upgrade it, a newer daemon has used the ledger"
        raise PermanentError(msg)
    return version


def _engine(url: str) -> Engine:
    if make_url(url).drivername.startswith("sqlite"):
        source = f"{Path(make_url(url).database or '').absolute().as_uri()}?mode=rw"
        engine = create_engine(
            "sqlite://",
            poolclass=NullPool,
            creator=lambda: sqlite3.connect(source, uri=True, timeout=_BUSY_S, isolation_level=None),
        )
        # the driver would begin no transaction for a CREATE TABLE, which could then not be taken back
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        return engine
    return create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": _CONNECT_S})


def _version(engine: Engine) -> str:
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return ""
        return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or "")


def _try_writing(engine: Engine, version: str) -> None:
    """Write what is there already, or a table where there is none, and take it back."""
    harmless = "UPDATE alembic_version SET version_num = version_num"
    statement = harmless if version else "CREATE TABLE trainer_doctor (probe INTEGER)"
    with engine.connect() as connection, connection.begin() as transaction:
        connection.execute(text(statement))
        transaction.rollback()
