"""Rows of `intervention`: what people asked for is written once, closed once, and never changed after that."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import Connection, RowMapping

from trainer_daemon.adapters.ledger import writes
from trainer_daemon.errors import StaleStateError
from trainer_daemon.policy.interventions import Intervention
from trainer_daemon.policy.notices import Notice, NoticeKind, about_intervention
from trainer_daemon.policy.runs import MOVES, Run, RunState

CAUSES = {"promote": "forced", "rollback": "rollback"}
"""Of the reign that an intervention begins."""


def intervention_of(row: RowMapping) -> Intervention:
    """The intervention in a row."""
    return Intervention(**{name: row[name] for name in Intervention.__slots__})


def ask(connection: Connection, intervention: Intervention) -> None:
    """Write down what a person wants."""
    wanted = ("model", "kind", "version", "replaces", "by", "reason", "at")
    connection.execute(writes.ADD_INTERVENTION, {name: getattr(intervention, name) for name in wanted})


def ends(runs: Iterable[Run], version: str) -> tuple[tuple[Run, RunState], ...]:
    """The runs whose state moves with the champion, and where to; one that something is still to happen to goes on.

    Args:
        runs: Of the version that becomes champion, and of the one that a person took back.
        version: That becomes champion.
    """
    wanted = ((run, RunState.PROMOTED if run.model_version == version else RunState.REJECTED) for run in runs)
    return tuple((run, to) for run, to in wanted if to in MOVES[run.state])


def notice(intervention: Intervention, replaced: str, now: datetime) -> Notice:
    """What is told of it."""
    return about_intervention(
        NoticeKind.CHAMPION_PROMOTED_BY_OPERATOR if intervention.kind == "promote" else NoticeKind.CHAMPION_ROLLED_BACK,
        intervention.model,
        version=intervention.version,
        previous=replaced,
        by=intervention.by,
        reason=intervention.reason,
        at=now,
    )


def close(connection: Connection, intervention: Intervention, values: Mapping[str, str], now: datetime) -> None:
    """Write down what came of it.

    Raises:
        StaleStateError: Somebody else has closed it.
    """
    row = {**values, "closed_at": now, "of_intervention": intervention.id}
    if connection.execute(writes.CLOSE_INTERVENTION, row).rowcount != 1:
        msg = f"what {intervention.by} asked for was acted on already"
        raise StaleStateError(msg)
