"""The database's own clock, in SQL: what leases expire by."""

import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Double
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class ledger_clock(FunctionElement[float]):  # noqa: N801 - it is used as a function of SQL
    """Seconds since 1970 by the database's own clock, also within a transaction that began earlier.

    On SQLite it is the SQL function of this name that `define_clock` gives a connection; a simulation gives its own.
    """

    name = "ledger_clock"
    type = Double()
    inherit_cache = True


@compiles(ledger_clock)
def _call(_element: object, _compiler: object, **_: object) -> str:
    return "ledger_clock()"


@compiles(ledger_clock, "postgresql")
def _ask_postgres(_element: object, _compiler: object, **_: object) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) AS double precision)"


def define_clock(connection: Any, clock: Callable[[], float] = time.time) -> None:  # noqa: ANN401 - the driver's connection
    """Give a connection of SQLite the SQL function `ledger_clock()`.

    Args:
        connection: The driver's own.
        clock: Seconds since 1970; SQLite runs in this process and on this machine, so its clock is the machine's.
    """
    connection.create_function("ledger_clock", 0, clock)
