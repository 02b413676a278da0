"""Bringing the ledger's tables up to date; of several daemons that start at once, one does it and the others wait."""

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from trainer_daemon.errors import PermanentError

LATEST = "0006"
"""Newest migration; a test holds it against the scripts, so that a daemon need not import Alembic to know."""
MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(engine: Engine, lock: Callable[[Connection], None] = lambda _: None) -> None:
    """Run the migrations that are missing; costs nothing when none is.

    Args:
        engine: Of connections that may take as long as a migration takes.
        lock: Waits until no other daemon migrates; for a database whose transactions do not by themselves.

    Raises:
        PermanentError: A newer version of the daemon has used the ledger.
    """
    with engine.connect() as connection:
        version = schema_version(connection)
    if version == LATEST:
        return
    if version > LATEST:
        msg = f"the ledger is of version {version}, this daemon knows {LATEST}: a newer daemon has used it; upgrade this one"
        raise PermanentError(msg)
    with engine.begin() as connection:
        lock(connection)
        _upgrade(connection)


def schema_version(connection: Connection) -> str:
    """The version of the tables; empty when there are none yet."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or "")


def _upgrade(connection: Connection) -> None:
    """Alembic costs half a second to import, so it is, only when there is something to migrate."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
