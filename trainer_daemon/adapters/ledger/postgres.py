"""What is special about a ledger on PostgreSQL: connections whose every call has a deadline, and one writer at a time.

psycopg is imported here only, and this module only when a ledger is on PostgreSQL.
"""

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.abc import PQGen
from psycopg.types.string import StrDumperUnknown
from sqlalchemy import Connection, Engine, NullPool, create_engine, event, make_url, text

CONNECT_S = 5
CALL_S = 15.0
"""No call waits longer: a network that swallows packets never says that it does."""
LOCK_S, STATEMENT_S = 8, 12
"""The server gives up a call before its caller does, as long as it can be reached."""
IDLE_S = 5
"""A writer that stops in the middle of a transaction keeps all others waiting, and none has a reason to."""
WRITE_LOCK = 7_214_900_441
"""Key of the advisory lock of all that write; the number is any."""
_OPTIONS: dict[str, Any] = {
    "application_name": "trainer-daemon",
    "connect_timeout": CONNECT_S,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": int(CALL_S * 1000),
    "prepare_threshold": None,  # prepared statements outlive a migration, and a pooler in between does not know them
}
_SETTINGS = {
    "lock_timeout": f"{LOCK_S}s",
    "statement_timeout": f"{STATEMENT_S}s",
    "idle_in_transaction_session_timeout": f"{IDLE_S}s",
}


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that is closed when an answer takes too long; what became of the call is then unknown."""

    def wait(self, gen: PQGen[Any], interval: float = 0.1, timeout: float | None = None) -> Any:  # noqa: ANN401 - as psycopg has it
        """Consume a generator of psycopg, for so long at most."""
        try:
            return super().wait(gen, interval, timeout or CALL_S)
        except psycopg.errors._WaitTimeout as exc:  # noqa: SLF001 - psycopg asks callers to handle it
            self.close()
            msg = f"no answer for {CALL_S:.0f} s"
            raise psycopg.OperationalError(msg) from exc


class _PlainText(StrDumperUnknown):
    """PostgreSQL keeps no NUL in a text, and names of objects come from outside."""

    def dump(self, obj: str) -> Any:  # noqa: ANN401 - as psycopg has it
        return super().dump(obj.replace("\x00", "\ufffd"))


def bounded_engine(url: str, **options: Any) -> Engine:  # noqa: ANN401 - whatever SQLAlchemy takes
    """Connections with deadlines; what the URL says of a connection comes first."""
    return _engine(url, _SETTINGS, **options)


def looking_engine(url: str) -> Engine:
    """Connections with deadlines that only look, and each time at what is there by then: the server refuses whatever writes.

    SQLAlchemy's own option does not do: it is of transactions, which a connection in autocommit does not begin.
    """
    return _engine(url, _SETTINGS | {"default_transaction_read_only": "on"}, isolation_level="AUTOCOMMIT")


def _engine(url: str, settings: Mapping[str, str], **options: Any) -> Engine:  # noqa: ANN401 - whatever SQLAlchemy takes
    said = make_url(url).query
    arguments = {name: value for name, value in _OPTIONS.items() if name not in said}
    engine = create_engine(url, pool_pre_ping=True, max_overflow=-1, connect_args=arguments, **options)

    def connect(_dialect: object, _record: object, arguments: list[Any], options: dict[str, Any]) -> BoundedConnection:
        return _connected(BoundedConnection.connect(*arguments, **options), settings)

    event.listen(engine, "do_connect", connect)
    return engine


def migrating_engine(url: str) -> Engine:
    """Connections without deadlines: a migration takes as long as it takes, and waits for another one before it."""
    return create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": CONNECT_S})


def lock_writes(connection: Connection) -> None:
    """Let one transaction write at a time, as SQLite does: numbers are then given in the order in which they become visible."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITE_LOCK})


def _connected(connection: BoundedConnection, settings: Mapping[str, str]) -> BoundedConnection:
    connection.adapters.register_dumper(str, _PlainText)
    connection.autocommit = True
    connection.execute("; ".join(f"SET {name} = '{value}'" for name, value in settings.items()).encode())
    connection.autocommit = False
    return connection
