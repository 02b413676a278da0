"""The outbox as those see it who deliver: who takes a row, and what became of it.

A row is taken by moving `due_at`, if nobody else has moved it. Two replicas therefore do not send the same at the same time; one
that dies with it leaves it to whoever comes after that moment. Of one model only the oldest row that waits can be taken, so an
endpoint hears of things in the order in which they happened.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, Update, and_, bindparam, delete, exists, func, or_, select, update

from trainer_daemon.adapters.ledger.database import translated
from trainer_daemon.adapters.ledger.tables import outbox
from trainer_daemon.policy.notices import Notice

WAITING, DELIVERED, REFUSED = "waiting", "delivered", "refused"

_earlier = outbox.alias()
_is_first = ~exists().where(
    _earlier.c.endpoint == outbox.c.endpoint,
    _earlier.c.model == outbox.c.model,
    _earlier.c.state == WAITING,
    _earlier.c.id < outbox.c.id,
)
_NEXT = (
    select(outbox)
    .where(outbox.c.endpoint == bindparam("endpoint"), outbox.c.state == WAITING, _is_first)
    .order_by(outbox.c.due_at, outbox.c.id)
    .limit(1)
)
_COUNTS = select(
    outbox.c.endpoint,
    func.count().label("number"),
    func.min(outbox.c.at).label("since"),
).group_by(outbox.c.endpoint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A notice that has been taken, to be delivered to one endpoint.

    Attributes:
        row: Where it is in the outbox.
        attempts: How often it was taken, this time included.
    """

    row: int
    endpoint: str
    notice: Notice
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What waits for one endpoint.

    Attributes:
        since: When the oldest of it happened; None when nothing waits.
        error: What the last attempt with one of these came to; empty when none was made.
        refused: How many were given up lately, because the endpoint would never take them.
    """

    endpoint: str
    number: int = 0
    since: datetime | None = None
    error: str = ""
    refused: int = 0


class Outbox:
    """Rows of the ledger's outbox; threads and processes may share it. Methods raise TemporaryError when it cannot answer.

    Args:
        engine: Writes the ledger.
        reads: Reads it.
    """

    def __init__(self, engine: Engine, reads: Engine) -> None:
        self._engine = engine
        self._reads = reads

    def take(self, endpoint: str, *, now: datetime, until: datetime) -> Letter | datetime | None:
        """The next letter for an endpoint.

        Args:
            endpoint: Its name.
            now: What is due later is not taken.
            until: Nobody else takes it before.

        Returns:
            The letter, or when the next one is due, or None when none waits.
        """
        with translated(), self._reads.connect() as connection:
            row = connection.execute(_NEXT, {"endpoint": endpoint}).mappings().first()
        if row is None:
            return None
        due_at: datetime = row["due_at"]
        if due_at > now:
            return due_at
        taken = _as_seen(row["id"], row["attempts"]).values(attempts=row["attempts"] + 1, due_at=until)
        return _letter(row) if self._write(taken) else now  # somebody else was faster: look again

    def delivered(self, letter: Letter, now: datetime) -> None:
        """The endpoint has it; that counts, even when somebody else has taken it meanwhile."""
        mine = update(outbox).where(outbox.c.id == letter.row, outbox.c.state == WAITING)
        self._write(mine.values(state=DELIVERED, ended_at=now, error=""))

    def postponed(self, letter: Letter, until: datetime, error: str) -> None:
        """It is to be tried again, unless somebody else is at it meanwhile."""
        self._write(_as_seen(letter.row, letter.attempts).values(due_at=until, error=error))

    def refused(self, letter: Letter, now: datetime, error: str) -> None:
        """It would never be taken, so it is given up."""
        self._write(_as_seen(letter.row, letter.attempts).values(state=REFUSED, ended_at=now, error=error))

    def prune(self, before: datetime, endpoints: Sequence[str]) -> int:
        """Delete what ended before a moment, and what waits since before it for an endpoint that is not there; how many rows."""
        stray = and_(outbox.c.state == WAITING, outbox.c.at < before, outbox.c.endpoint.not_in(endpoints))
        return self._write(delete(outbox).where(or_(outbox.c.ended_at < before, stray)))

    def waiting(self, endpoints: Sequence[str]) -> tuple[Waiting, ...]:
        """What waits for each of these endpoints."""
        with translated(), self._reads.connect() as connection:
            return read_waiting(connection, endpoints)

    def _write(self, statement: Any) -> int:  # noqa: ANN401 - an update or a delete
        with translated(), self._engine.begin() as connection:
            return int(connection.execute(statement).rowcount)


def read_waiting(connection: Connection, endpoints: Sequence[str]) -> tuple[Waiting, ...]:
    """What waits for each of these endpoints."""
    counts = {row.endpoint: row for row in connection.execute(_COUNTS.where(outbox.c.state == WAITING))}
    refused = {row.endpoint: row.number for row in connection.execute(_COUNTS.where(outbox.c.state == REFUSED))}
    return tuple(
        Waiting(
            endpoint=name,
            number=counts[name].number if name in counts else 0,
            since=counts[name].since if name in counts else None,
            error=_last_error(connection, name) if name in counts else "",
            refused=refused.get(name, 0),
        )
        for name in endpoints
    )


def _last_error(connection: Connection, endpoint: str) -> str:
    found = select(outbox.c.error).where(outbox.c.endpoint == endpoint, outbox.c.state == WAITING, outbox.c.error != "")
    return str(connection.execute(found.order_by(outbox.c.id).limit(1)).scalar() or "")


def _as_seen(row: int, attempts: int) -> Update:
    return update(outbox).where(outbox.c.id == row, outbox.c.attempts == attempts, outbox.c.state == WAITING)


def _letter(row: RowMapping) -> Letter:
    notice = Notice(
        id=row["notice"],
        kind=row["kind"],
        model=row["model"],
        subject=row["subject"],
        at=row["at"],
        data=row["data"],
    )
    return Letter(row=row["id"], endpoint=row["endpoint"], notice=notice, attempts=row["attempts"] + 1)
