"""Leases: the ledger says who may act for a model, by the database's own clock, and refuses the writes of anybody else."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any, Protocol, Self

from sqlalchemy import Connection

from trainer_daemon.adapters.ledger import writes
from trainer_daemon.adapters.ledger.database import repeated, translated
from trainer_daemon.adapters.ledger.reading import LedgerReader
from trainer_daemon.errors import LeaseLostError
from trainer_daemon.policy.leases import Lease


class Fence(Protocol):
    """Knows which lease the work under way was begun with."""

    @property
    def lease(self) -> Lease:
        """It; raises LeaseLostError when there is none."""


class LeasingLedger(LedgerReader):
    """The ledger's writes, and who may make them.

    A clock that leaps makes a lease expire early or late. Nothing depends on it but who works: a write that was decided under a
    lease that somebody else has taken since is refused, since it names an older token.
    """

    _fence: Fence | None = None

    def fenced(self, fence: Fence) -> Self:
        """The same ledger, as the holder of a lease uses it.

        Args:
            fence: Names the lease; every write asks the ledger, in its own transaction, whether it is still held, and raises
                LeaseLostError when it is not.
        """
        guarded = copy(self)
        guarded._fence = fence  # noqa: SLF001 - it is one of us
        return guarded

    @repeated
    def take_leases(self, holder: str, models: Sequence[str], *, lease_s: float, from_others: bool = False) -> tuple[Lease, ...]:
        """Take what nobody holds, what has expired, and what this holder had already; each gets a new token.

        Args:
            holder: Who takes them.
            models: For which models.
            lease_s: How long they last, by the database's clock.
            from_others: Whoever else is named in the ledger is known to be dead.
        """
        with self._writing() as connection:
            taken = (_take(connection, holder, model, lease_s, from_others=from_others) for model in sorted(models))
            return tuple(lease for lease in taken if lease is not None)

    @repeated
    def renew_leases(self, held: Sequence[Lease], *, lease_s: float) -> tuple[Lease, ...]:
        """Have leases last longer; those that are still held, also one that had expired and that nobody took."""
        with self._writing() as connection:
            longer = {"lease_s": lease_s}
            return tuple(lease for lease in held if connection.execute(writes.RENEW_LEASE, _is(lease) | longer).rowcount)

    @repeated
    def release_leases(self, held: Sequence[Lease]) -> None:
        """Let anybody take them now; what is not held any more is left alone."""
        with self._writing() as connection:
            for lease in held:
                connection.execute(writes.RELEASE_LEASE, _is(lease))

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with translated(), self._engine.begin() as connection:
            if self._fence is not None:
                _require(connection, self._fence.lease)
            yield connection


def _take(connection: Connection, holder: str, model: str, lease_s: float, *, from_others: bool) -> Lease | None:
    """The transaction holds the write lock: nobody else takes it meanwhile."""
    row = connection.execute(writes.LEASE, {"of_model": model, "by_holder": holder}).mappings().first()
    lease = Lease(model=model, holder=holder, token=row["token"] + 1 if row else 1)
    values = {"holder": holder, "token": lease.token, "lease_s": lease_s}
    if row is None:
        connection.execute(writes.ADD_LEASE, {**values, "model": model})
    elif row["is_free"] or from_others:
        connection.execute(writes.TAKE_LEASE, {**values, "of_model": model})
    else:
        return None
    return lease


def _is(lease: Lease) -> dict[str, Any]:
    return {"of_model": lease.model, "of_token": lease.token, "of_holder": lease.holder}


def _require(connection: Connection, lease: Lease) -> None:
    if connection.execute(writes.LEASE_AS_HELD, _is(lease)).first() is None:
        msg = f"another daemon has taken the lease of model {lease.model}"
        raise LeaseLostError(msg)
