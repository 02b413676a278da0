"""Writes notices into the outbox, in the transaction of what they tell."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from trainer_daemon.adapters.ledger import queries
from trainer_daemon.adapters.ledger.reading import read_runs
from trainer_daemon.adapters.ledger.rows import plain_json
from trainer_daemon.adapters.ledger.tables import outbox
from trainer_daemon.policy.notices import Addressee, Notice, NoticeKind, about_run, wanting
from trainer_daemon.policy.runs import Run


class Notices:
    """One row per notice and endpoint that wants it; without endpoints none.

    Args:
        addressees: Who wants to be told, and what of.
        link_of: The page of a run, or empty.

    Attributes:
        on_written: Called after the commit of a transaction that may have written some.
    """

    def __init__(self, addressees: Sequence[Addressee] = (), link_of: Callable[[Run], str] = lambda _: "") -> None:
        self._addressees = addressees
        self._link_of = link_of
        self.on_written: Callable[[], None] = lambda: None

    def write(self, connection: Connection, notice: Notice) -> None:
        """Have a notice delivered; one that is there already, is not written again."""
        names = wanting(notice.kind, self._addressees)
        known = select(outbox.c.endpoint).where(outbox.c.notice == notice.id)
        there = set(connection.execute(known).scalars()) if names else set()
        if rows := [_row(notice, name) for name in names if name not in there]:
            connection.execute(insert(outbox), rows)

    def write_move(self, connection: Connection, run: Run, kind: NoticeKind, *, why: str, at: datetime) -> None:
        """Have a move of a run told that was made in this transaction.

        Args:
            connection: In the transaction.
            run: As it was before.
            kind: What the move is told as.
            why: Its reason.
            at: When.
        """
        if not wanting(kind, self._addressees):
            return
        (moved,) = read_runs(connection, queries.RUN, key=run.key)
        self.write(connection, about_run(kind, moved, why=why, link=self._link_of(moved), at=at))


def _row(notice: Notice, endpoint: str) -> dict[str, Any]:
    return {
        "endpoint": endpoint,
        "notice": notice.id,
        "kind": str(notice.kind),
        "model": notice.model,
        "subject": notice.subject,
        "at": notice.at,
        "data": plain_json(notice.data),
        "due_at": notice.at,
    }
