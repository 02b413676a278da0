"""What people ask the ledger: everything that happened, read-only; asking neither creates nor changes anything."""

import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Engine, NullPool, RowMapping, Select, and_, create_engine, func, make_url, or_, select

from trainer_daemon.adapters.ledger.clock import ledger_clock
from trainer_daemon.adapters.ledger.database import BUSY_TIMEOUT_S, is_sqlite, translated
from trainer_daemon.adapters.ledger.intervening import intervention_of
from trainer_daemon.adapters.ledger.migrating import LATEST, schema_version
from trainer_daemon.adapters.ledger.outbox import Waiting, read_waiting
from trainer_daemon.adapters.ledger.reading import LedgerReader
from trainer_daemon.adapters.ledger.rows import decision_of, event_of
from trainer_daemon.adapters.ledger.tables import (
    champions,
    decisions,
    events,
    interventions,
    leases,
    run_drops,
    runs,
    transitions,
)
from trainer_daemon.errors import PermanentError
from trainer_daemon.policy.events import Event
from trainer_daemon.policy.interventions import Intervention
from trainer_daemon.policy.leases import Lease
from trainer_daemon.policy.promotion import Decision
from trainer_daemon.policy.runs import Run, RunState

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """An event and what became of it.

    Attributes:
        subject: URI of the object it is about, also of one that could never be a drop; empty when it is about none.
        outcome: `pending`, `queued`, `duplicated`, `superseded`, `skipped`, `rejected` or `quarantined`.
        run_key: The run it started or, when it started none, the one that it counts on; empty when there is none either.
        sequence: Its place in the order of arrival.
    """

    event: Event
    subject: str
    recorded_at: datetime
    outcome: str
    why: str
    run_key: str
    sequence: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One move of a run between two states; `from_state` is empty for its beginning."""

    run_key: str
    from_state: str
    to_state: str
    attempt: int
    why: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The decision of one attempt, with its evidence.

    Attributes:
        evaluation: `evaluation.json` as the pipeline wrote it; empty when there was none.
    """

    run_key: str
    attempt: int
    decision: Decision
    evaluation: Mapping[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reign:
    """Somebody became champion.

    Attributes:
        version: Empty when nobody was champion from then on.
        cause: `promoted` by the daemon, `forced` or `rollback` by the daemon for a person, `found` at its first look, or
            `external`: somebody else moved the alias.
    """

    version: str
    run_key: str
    period: str
    cause: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What the ledger says about the lease of one model.

    Attributes:
        is_held: It has not expired by the database's clock; otherwise anybody may take it.
    """

    lease: Lease
    is_held: bool


class History(LedgerReader):
    """A ledger that exists, opened for reading only; see `open_history`."""

    def __init__(self, engine: Engine) -> None:  # super().__init__ would create and upgrade the database
        self._engine = engine
        self._reads = engine.execution_options(isolation_level="AUTOCOMMIT")

    def runs(self, model: str) -> tuple[Run, ...]:
        """Every run of a model, in the order in which they were first queued."""
        return self._runs(select(runs).where(runs.c.model == model).order_by(runs.c.sequence))

    def happenings(self, model: str) -> tuple[Happening, ...]:
        """Every event of a model, in the order of arrival."""
        return self._each(select(events).where(events.c.model == model).order_by(events.c.sequence), _happening)

    def newest_runs(
        self, model: str, limit: int, *, states: Collection[RunState] = tuple(RunState), before: int | None = None
    ) -> tuple[Run, ...]:
        """The runs of a model that were queued last, the newest first.

        Args:
            model: Whose.
            limit: So many at most.
            states: Only those that are in one of these.
            before: Only those with a smaller `sequence`.
        """
        query = select(runs).where(runs.c.model == model, runs.c.state.in_(states)).order_by(runs.c.sequence.desc()).limit(limit)
        return self._runs(query if before is None else query.where(runs.c.sequence < before))

    def next_runs(self, model: str, limit: int) -> tuple[Run, ...]:
        """The first runs of the backlog, in the order in which they will start."""
        queued = select(runs).where(runs.c.model == model, runs.c.state == RunState.QUEUED.value)
        return self._runs(queued.order_by(runs.c.period, runs.c.sequence).limit(limit))

    def count_runs(self, model: str) -> Mapping[RunState, int]:
        """How many runs are in each state; states in which none is are left out."""
        query = select(runs.c.state, func.count().label("number")).where(runs.c.model == model).group_by(runs.c.state)
        return dict(self._each(query, lambda row: (RunState(row["state"]), row["number"])))

    def states_of(self, run_keys: Collection[str]) -> Mapping[str, RunState]:
        """The state of each of these runs."""
        query = select(runs.c.key, runs.c.state).where(runs.c.key.in_(run_keys))
        return dict(self._each(query, lambda row: (row["key"], RunState(row["state"]))))

    def runs_like(self, key_prefix: str) -> tuple[Run, ...]:
        """Two runs at most whose key begins so."""
        return self._runs(select(runs).where(runs.c.key.startswith(key_prefix, autoescape=True)).limit(2))

    def runs_for(self, model: str, uri: str) -> tuple[Run, ...]:
        """The runs that are for an object, or have it in their window, in the order in which they were first queued."""
        keys = select(run_drops.c.run_key).where(run_drops.c.uri == uri)
        return self._runs(select(runs).where(runs.c.model == model, runs.c.key.in_(keys)).order_by(runs.c.sequence))

    def newest_happenings(self, model: str, limit: int, *, before: int | None = None) -> tuple[Happening, ...]:
        """The events of a model that arrived last, the newest first; `before` is as in `newest_runs`."""
        query = select(events).where(events.c.model == model).order_by(events.c.sequence.desc()).limit(limit)
        return self._each(query if before is None else query.where(events.c.sequence < before), _happening)

    def happening(self, sequence: int) -> Happening | None:
        """The event at a place in the order of arrival; None when there is none."""
        return next(iter(self._each(select(events).where(events.c.sequence == sequence), _happening)), None)

    def happenings_about(self, model: str, *, uri: str = "", run_keys: Collection[str] = ()) -> tuple[Happening, ...]:
        """The events about an object, and those that asked for one of these runs, in the order of arrival."""
        about = or_(and_(events.c.uri == uri, events.c.uri != ""), events.c.run_key.in_(run_keys))
        return self._each(select(events).where(events.c.model == model, about).order_by(events.c.sequence), _happening)

    def count_pending(self, model: str) -> int:
        """How many events nobody has acted on yet."""
        query = select(func.count()).select_from(events).where(events.c.model == model, events.c.outcome == "pending")
        return int(self._scalar(query))

    def condemned(self, model: str, limit: int) -> tuple[Happening, ...]:
        """The newest events whose drop the run of a later month found to be bad, the newest first."""
        query = select(events).where(events.c.model == model, events.c.outcome == "quarantined")
        return self._each(query.order_by(events.c.sequence.desc()).limit(limit), _happening)

    def transitions(self, run_key: str) -> tuple[Transition, ...]:
        """How a run moved, oldest first."""
        columns = [transitions.c[name] for name in Transition.__slots__]
        query = select(*columns).where(transitions.c.run_key == run_key).order_by(transitions.c.id)
        return self._each(query, lambda row: Transition(**row))

    def judgements(self, run_key: str) -> tuple[Judgement, ...]:
        """The decisions on a run, one per attempt that was judged, oldest first."""
        return self._each(select(decisions).where(decisions.c.run_key == run_key).order_by(decisions.c.attempt), _judgement)

    def reigns(self, model: str) -> tuple[Reign, ...]:
        """Who was champion, oldest first."""
        columns = [champions.c[name] for name in Reign.__slots__]
        query = select(*columns).where(champions.c.model == model).order_by(champions.c.id)
        return self._each(query, lambda row: Reign(**row))

    def interventions(self, model: str) -> tuple[Intervention, ...]:
        """What people asked for about the champion, oldest first."""
        query = select(interventions).where(interventions.c.model == model).order_by(interventions.c.id)
        return self._each(query, intervention_of)

    def holding(self, model: str) -> Holding | None:
        """Who holds a model's lease, or held it last; None where a lock beside the file lets only one daemon use the ledger."""
        if self._engine.dialect.name == "sqlite":
            return None
        query = select(leases, (leases.c.expires_at - ledger_clock()).label("expires_in_s")).where(leases.c.model == model)
        return next(iter(self._each(query, _holding)), None)

    def waiting(self, endpoints: Sequence[str]) -> tuple[Waiting, ...]:
        """What waits to be told to each of these endpoints."""
        with self._reading() as connection:
            return read_waiting(connection, endpoints)

    def _each(self, query: Select[Any], convert: Callable[[RowMapping], _T]) -> tuple[_T, ...]:
        with self._reading() as connection:
            return tuple(convert(row) for row in connection.execute(query).mappings())


def open_history(url: str) -> History | None:
    """The history in a ledger, None when no daemon has made the ledger yet.

    Args:
        url: Of the ledger's database.

    Raises:
        TemporaryError: The database cannot be reached.
        PermanentError: It is of another version, or no ledger.
    """
    engine = _reading_engine(url)
    if engine is None:
        return None
    with translated(), engine.connect() as connection:
        version = schema_version(connection)
    if version != LATEST:
        engine.dispose()
    if not version:
        return None
    if version != LATEST:
        msg = f"the ledger is of version {version}, this program reads {LATEST}: use the version of the daemon that writes it"
        raise PermanentError(msg)
    return History(engine)


def _reading_engine(url: str) -> Engine | None:
    """An engine that cannot write; None when a SQLite file is missing, which connecting would otherwise create."""
    where = make_url(url)
    if not is_sqlite(url):
        from trainer_daemon.adapters.ledger.postgres import looking_engine

        return looking_engine(url)
    path = Path(where.database or "")
    if not path.is_file():
        return None
    source = f"{path.absolute().as_uri()}?mode=ro"
    return create_engine(
        "sqlite://", poolclass=NullPool, creator=lambda: sqlite3.connect(source, uri=True, timeout=BUSY_TIMEOUT_S)
    )


def _holding(row: RowMapping) -> Holding:
    lease = Lease(model=row["model"], holder=row["holder"], token=row["token"])
    return Holding(lease=lease, is_held=bool(row["holder"]) and row["expires_in_s"] > 0)


def _happening(row: RowMapping) -> Happening:
    event = event_of(row)
    return Happening(
        event=event,
        subject=event.drop.uri if event.drop else _ignored_uri(event),
        recorded_at=row["recorded_at"],
        outcome=row["outcome"],
        why=row["why"],
        run_key=row["run_key"],
        sequence=row["sequence"],
    )


def _ignored_uri(event: Event) -> str:
    """What a source could make no drop of is named in the event's id only."""
    prefix = f"ignored:{event.model}:"
    return event.id.removeprefix(prefix).rpartition("#")[0] if event.id.startswith(prefix) else ""


def _judgement(row: RowMapping) -> Judgement:
    return Judgement(
        run_key=row["run_key"], attempt=row["attempt"], decision=decision_of(row), evaluation=row["evaluation"], at=row["at"]
    )
