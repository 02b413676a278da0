"""Opening the ledger's database: connection settings, migrations, and the translation of its errors."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, SQLAlchemyError

from trainer_daemon.errors import PermanentError, TemporaryError
from trainer_daemon.policy.failures import is_full_disk

LATEST = "0002"
"""Newest migration; a test holds it against the scripts, so that a daemon need not import Alembic to know."""
MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_S = 10
KEYS_PER_QUERY = 500


def open_engine(url: str) -> Engine:
    """Connect and bring the schema up to date.

    Raises:
        TemporaryError: The database cannot be reached.
        PermanentError: The database was written by a newer version of the daemon.
    """
    if make_url(url).drivername.startswith("sqlite"):
        Path(make_url(url).database or "").parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_immediately)
    with translated():
        migrate(engine)
    return engine


def reading_engine(url: str) -> Engine:
    """Connections that only look: to switch those of the writing engine to autocommit and back takes longer than a look."""
    engine = create_engine(url, pool_pre_ping=not url.startswith("sqlite"), isolation_level="AUTOCOMMIT")
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
    return engine


def migrate(engine: Engine) -> None:
    """Run the migrations that are missing; costs nothing when none is."""
    with engine.begin() as connection:
        version = _version(connection)
        if version == LATEST:
            return
        if version is not None and version > LATEST:
            msg = f"the ledger is of version {version}, this daemon knows {LATEST}: a newer daemon has used it; upgrade this one"
            raise PermanentError(msg)
        _upgrade(connection)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: Connection) -> None:
    """Alembic costs half a second to import, so it is, only when there is something to migrate."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _prepare_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 - a driver's connection has no common type
    """Write-ahead log with full synchronisation: a row that was committed survives a power cut."""
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
    except OperationalError as exc:
        advice = "; make room on its disk, nothing is lost meanwhile" if is_full_disk(str(exc.orig)) else ""
        msg = f"ledger: {exc.orig}{advice}"
        raise TemporaryError(msg) from exc
    except DBAPIError as exc:
        msg = f"ledger: {exc.orig}"
        error = TemporaryError if exc.connection_invalidated else PermanentError
        raise error(msg) from exc
    except SQLAlchemyError as exc:
        msg = f"ledger: {exc}"
        raise PermanentError(msg) from exc


def chunks(keys: Sequence[str]) -> Iterator[list[str]]:
    """As many keys at a time as one statement may name; the last is repeated until their number is a power of two.

    Each number of keys is another statement, and drivers keep the statements that they have prepared: a bucket that grows by one
    drop at a time would fill megabytes with them.
    """
    for start in range(0, len(keys), KEYS_PER_QUERY):
        some = list(keys[start : start + KEYS_PER_QUERY])
        yield some + some[-1:] * ((1 << (len(some) - 1).bit_length()) - len(some))
