"""Rows of `intervention`: what people asked for is written once, closed once, and never changed after that."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, RowMapping, and_, insert, update

from trainer_daemon.adapters.ledger.tables import interventions
from trainer_daemon.errors import StaleStateError
from trainer_daemon.policy.interventions import Intervention


def intervention_of(row: RowMapping) -> Intervention:
    """The intervention in a row."""
    return Intervention(**{name: row[name] for name in Intervention.__slots__})


def ask(connection: Connection, intervention: Intervention) -> None:
    """Write down what a person wants."""
    wanted = ("model", "kind", "version", "replaces", "by", "reason", "at")
    connection.execute(insert(interventions).values({name: getattr(intervention, name) for name in wanted}))


def close(connection: Connection, intervention: Intervention, values: Mapping[str, str], now: datetime) -> None:
    """Write down what came of it.

    Raises:
        StaleStateError: Somebody else has closed it.
    """
    mine = and_(interventions.c.id == intervention.id, interventions.c.outcome == "pending")
    if connection.execute(update(interventions).where(mine).values(**values, closed_at=now)).rowcount != 1:
        msg = f"what {intervention.by} asked for was acted on already"
        raise StaleStateError(msg)
