"""The ledger: every write of the daemon, each in one transaction, each refused when it no longer fits."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Update
from sqlalchemy.exc import IntegrityError

from trainer_daemon.adapters.ledger import intervening, queries, writes
from trainer_daemon.adapters.ledger.database import repeated
from trainer_daemon.adapters.ledger.leasing import LeasingLedger
from trainer_daemon.adapters.ledger.notices import Notices
from trainer_daemon.adapters.ledger.outbox import Outbox
from trainer_daemon.adapters.ledger.receiving import receive
from trainer_daemon.adapters.ledger.rows import drop_values, plain_json, rules_json
from trainer_daemon.errors import PermanentError, StaleStateError
from trainer_daemon.policy.answers import Answer
from trainer_daemon.policy.events import DatasetVersion, Event, Rejection, drop_event_id
from trainer_daemon.policy.interventions import Intervention
from trainer_daemon.policy.notices import about_drop, kind_of_move
from trainer_daemon.policy.observations import Champion
from trainer_daemon.policy.plan import Proposal, disappointed
from trainer_daemon.policy.promotion import Decision
from trainer_daemon.policy.runs import LIVE, MOVES, Run, RunState

DAEMON = "daemon"
_BEGINNING = ("key", "sequence", "model", "period", "attempt", "attempts_max", "ready_at", "event_id", "updated_at")
"""What a run begins with; the other columns are empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What else a move between states writes; None leaves a column as it is.

    Attributes:
        reopen_event: The run's drop is still wanted: its event is pending again, so that it gets another run.
        keep_events: No event becomes pending again, not even that of another month: it would begin the same run again.
        is_news: Who wants to hear of such moves is told of it.
    """

    error: str | None = None
    orchestrator_run: str | None = None
    model_version: str | None = None
    ready_at: datetime | None = None
    next_attempt: bool = False
    extra_attempt: bool = False
    final: bool = False
    champion_version: str | None = None
    reopen_event: bool = False
    keep_events: bool = False
    is_news: bool = True


class Ledger(LeasingLedger):
    """The daemon's memory, on SQLite or PostgreSQL.

    Every method is one transaction. Methods raise TemporaryError when the database cannot answer and StaleStateError
    when a row is no longer in the state that the caller decided for.

    Args:
        url: Of the database.
        notices: Written with what they tell; without them nobody is told anything.
    """

    def __init__(self, url: str, notices: Notices | None = None) -> None:
        super().__init__(url)
        self.notices = notices or Notices()

    def outbox(self) -> Outbox:
        """What is to be delivered; lives as long as the ledger."""
        return Outbox(self._engine, self._reads)

    @contextmanager
    def _telling(self) -> Iterator[Connection]:
        """A transaction that may write notices; whoever delivers them looks when it is committed."""
        with self._writing() as connection:
            yield connection
        self.notices.on_written()

    # events

    @repeated
    def record(self, batch: Sequence[Event | Rejection], now: datetime) -> list[bool]:
        """Write down durably what was received; for each, whether it was new. Only after this may a source acknowledge."""
        with self._writing() as connection:
            return receive(connection, batch, now)

    @repeated
    def settle(self, event: Event, *, outcome: str, why: str, run: Run | None = None) -> None:
        """Close an event that starts nothing, since it counts on a run that there is."""
        with self._writing() as connection:
            _close_event(connection, event.id, outcome=outcome, why=why, run_key=run.key if run else "")

    @repeated
    def enqueue(self, event: Event, proposal: Proposal, *, attempts_max: int, now: datetime) -> Run:
        """Put the run that an event starts into the backlog and close the event."""
        with self._writing() as connection:
            run = Run(
                key=proposal.key,
                sequence=connection.execute(writes.NEXT_RUN).scalar_one(),
                model=event.model,
                period=proposal.drop.period,
                drops=proposal.drops,
                state=RunState.QUEUED,
                attempt=1,
                attempts_max=attempts_max,
                ready_at=now,
                event_id=event.id,
                updated_at=now,
            )
            _insert_run(connection, run)
            rows = [{"run_key": proposal.key, "position": at, **drop_values(drop)} for at, drop in enumerate(proposal.drops)]
            connection.execute(writes.ADD_RUN_DROP, rows)
            start = {"run_key": proposal.key, "from_state": "", "to_state": RunState.QUEUED.value, "attempt": 1}
            connection.execute(
                writes.ADD_TRANSITION, {**start, "why": f"{event.kind} event", "by": event.by or DAEMON, "at": now}
            )
            _close_event(connection, event.id, outcome="queued", why="", run_key=proposal.key)
        return run

    @repeated
    def revive(self, event: Event, run: Run, *, why: str, now: datetime) -> Run:
        """Queue a run again that had ended without a decision and close the event."""
        with self._writing() as connection:
            move = _Move(to=RunState.QUEUED, attempt=run.attempt + 1, why=why, at=now, by=event.by or DAEMON)
            _move(connection, run, move, Change(extra_attempt=True, ready_at=now, error=""))
            _close_event(connection, event.id, outcome="queued", why=why, run_key=run.key)
        return self.run(run.key)

    # runs

    @repeated
    def take_slot(self, run: Run, *, models: Sequence[str], maximum: int) -> bool:
        """Before a run is submitted, count it as open if that makes not too many; taken again it is no second one.

        A crash after it leaves the slot with the run, which is still queued, and whose submission is then repeated or given up.

        Args:
            run: It must still be as the caller saw it.
            models: Those whose runs count, this one's included.
            maximum: Of models that are occupied by a run.
        """
        others = [model for model in models if model != run.model]
        with self._writing() as connection:
            if others and connection.execute(queries.OCCUPIED, {"models": others}).scalar_one() >= maximum:
                return False
            values = {**_as_seen(run), "has_slot": True}
            _exactly_one(connection, writes.CHANGE_RUN, values, otherwise=f"run {run.name} is no longer {run.state}")
            return True

    @repeated
    def advance(self, run: Run, to: RunState, *, why: str, now: datetime, change: Change | None = None) -> None:
        """Move a run to another state, if it still is in the state and attempt that the caller saw."""
        change = change or Change()
        with self._telling() as connection:
            self._moved(connection, run, _Move(to=to, attempt=run.attempt + change.next_attempt, why=why, at=now), change)

    def _moved(self, connection: Connection, run: Run, move: "_Move", change: Change) -> None:
        """Move a run, and have it told."""
        _move(connection, run, move, change)
        kind = kind_of_move(run, move.to, is_over=_is_over(run, move, change))
        if kind is not None and change.is_news:
            self.notices.write_move(connection, run, kind, why=move.why, at=move.at)

    @repeated
    def record_decision(self, run: Run, decision: Decision, evaluation: Mapping[str, Any], now: datetime) -> None:
        """Write a decision down before anybody acts on it."""
        row = {
            "run_key": run.key,
            "attempt": run.attempt,
            "verdict": decision.verdict.value,
            "candidate_version": decision.candidate_version,
            "champion_version": decision.champion_version,
            "rules": rules_json(decision),
            "evaluation": plain_json(evaluation),
            "at": now,
        }
        with self._writing() as connection:
            _require_state(connection, run)
            connection.execute(writes.ADD_DECISION, row)

    @repeated
    def answer(self, run: Run, answer: Answer) -> None:
        """Write down what a person says to a promotion that waits; the daemon acts on it.

        Raises:
            StaleStateError: It waits no longer, or somebody has answered already.
        """
        try:
            with self._writing() as connection:
                _require_state(connection, run)
                row = {"approved": answer.approved, "by": answer.by, "reason": answer.reason, "at": answer.at}
                connection.execute(writes.ADD_ANSWER, {"run_key": run.key, "attempt": run.attempt, **row})
        except IntegrityError as exc:
            msg = f"somebody has answered about run {run.name} already"
            raise StaleStateError(msg) from exc

    @repeated
    def promoted(self, run: Run, champion: Champion, *, why: str, now: datetime) -> None:
        """The alias was moved to the run's version: state and champion in one transaction."""
        with self._telling() as connection:
            self._moved(connection, run, _Move(to=RunState.PROMOTED, attempt=run.attempt, why=why, at=now), Change())
            _add_champion(connection, run.model, champion, cause="promoted", now=now)

    def request_cancel(self, run: Run, reason: str) -> None:
        """Ask the daemon to cancel a run; it is ended at the next look.

        Raises:
            StaleStateError: The run has ended meanwhile.
        """
        self.doom(run, RunState.CANCELED, reason)

    @repeated
    def doom(self, run: Run, ending: RunState, reason: str) -> None:
        """Write down that a run is to end, before anything is done about it; nothing revokes that.

        Raises:
            StaleStateError: The run has ended meanwhile.
        """
        values = {"of_run": run.key, "ending": ending.value, "ending_reason": reason}
        with self._writing() as connection:
            _exactly_one(connection, writes.CHANGE_LIVE_RUN, values, otherwise=f"run {run.name} has ended")

    @repeated
    def condemn(self, model: str, drop: DatasetVersion, *, why: str, now: datetime) -> None:
        """Remember that these bytes under this URI can never be trained, although no run of their own was quarantined for it.

        Raises:
            StaleStateError: No event tells of them.
        """
        values = {"of_model": model, "of_uri": drop.uri, "of_checksum": drop.checksum, "why": why}
        with self._telling() as connection:
            if not connection.execute(writes.QUARANTINE_EVENTS, values).rowcount:
                msg = f"{drop.ref} is not known"
                raise StaleStateError(msg)
            self.notices.write(connection, about_drop(model, drop, why=why, at=now))

    @repeated
    def note_champion(self, model: str, champion: Champion | None, *, cause: str, now: datetime) -> None:
        """Remember who is champion in the registry: `found` at first sight, `external` when somebody else moved the alias."""
        with self._writing() as connection:
            _add_champion(connection, model, champion or Champion(version=""), cause=cause, now=now)

    # what people ask for

    @repeated
    def ask(self, intervention: Intervention) -> None:
        """Write down whom a person wants to be champion; the daemon acts on it."""
        with self._writing() as connection:
            intervening.ask(connection, intervention)

    @repeated
    def dismiss(self, intervention: Intervention, why: str, now: datetime) -> None:
        """Close what cannot be carried out any more."""
        with self._writing() as connection:
            intervening.close(connection, intervention, {"outcome": "refused", "why": why}, now)

    @repeated
    def intervened(
        self, intervention: Intervention, champion: Champion, *, replaced: str, now: datetime
    ) -> tuple[tuple[Run, RunState], ...]:
        """The alias was moved for a person: the intervention, the champion and the states of both runs in one transaction.

        Args:
            intervention: What was asked for.
            champion: The version that is champion now.
            replaced: The version that was before; empty for nobody.
            now: In UTC.

        Returns:
            The runs whose state moved, and where to; a run that something is still to happen to goes on.
        """
        versions = [champion.version, replaced] if intervention.kind == "rollback" else [champion.version]
        moved = intervening.ends(
            self._runs(queries.RUNS_OF_VERSIONS, model=intervention.model, versions=versions), champion.version
        )
        why = intervention.sentence
        with self._telling() as connection:
            intervening.close(connection, intervention, {"outcome": "done", "replaces": replaced}, now)
            for run, to in moved:
                _move(connection, run, _Move(to=to, attempt=run.attempt, why=why, at=now, by=intervention.by), Change(error=why))
            _add_champion(connection, intervention.model, champion, cause=intervening.CAUSES[intervention.kind], now=now)
            self.notices.write(connection, intervening.notice(intervention, replaced, now))
        return moved

    @repeated
    def set_baseline(self, model: str, *, listed: int, now: datetime) -> None:
        """The model's bucket has been listed completely once."""
        with self._writing() as connection:
            if connection.execute(queries.BASELINE, {"model": model}).first() is None:
                connection.execute(writes.ADD_BASELINE, {"model": model, "listed": listed, "at": now})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Move:
    to: RunState
    attempt: int
    why: str
    at: datetime
    by: str = DAEMON


def _close_event(connection: Connection, event_id: str, **values: str) -> None:
    values["of_event"] = event_id
    _exactly_one(connection, writes.CLOSE_EVENT, values, otherwise=f"event {event_id} was acted on already")


def _insert_run(connection: Connection, run: Run) -> None:
    values = {name: getattr(run, name) for name in _BEGINNING}
    try:
        connection.execute(writes.ADD_RUN, {**values, "state": run.state.value, "created_at": run.updated_at})
    except IntegrityError as exc:
        msg = f"run {run.key} exists already"
        raise StaleStateError(msg) from exc


def _move(connection: Connection, run: Run, move: _Move, change: Change) -> None:
    if move.to not in MOVES[run.state]:
        msg = f"run {run.name} cannot go from {run.state} to {move.to}"
        raise PermanentError(msg)
    moved = {"state": move.to.value, "updated_at": move.at, "attempt": move.attempt, "has_slot": False}
    values = {**_as_seen(run), **moved, **_columns(run, change)}
    if _is_over(run, move, change) or run.state not in LIVE | {RunState.FAILED}:
        values |= {"ending": "", "ending_reason": ""}
    try:
        _exactly_one(connection, writes.CHANGE_RUN, values, otherwise=f"run {run.name} is no longer {run.state}")
    except IntegrityError as exc:
        msg = f"model {run.model} has another open run"
        raise StaleStateError(msg) from exc
    row = {"run_key": run.key, "from_state": run.state.value, "to_state": move.to.value, "attempt": move.attempt}
    connection.execute(writes.ADD_TRANSITION, {**row, "why": move.why, "by": move.by, "at": move.at})
    if move.to in {RunState.SUPERSEDED, RunState.QUARANTINED} and not change.keep_events:
        _reopen(connection, run, again=change.reopen_event)


def _is_over(run: Run, move: _Move, change: Change) -> bool:
    """Nothing is left to be ended, so nobody's wish to end it may outlive it: it would end the run when it is asked for again."""
    if move.to is RunState.FAILED:
        return change.final or move.attempt >= run.attempts_max + change.extra_attempt
    return move.to not in LIVE


def _reopen(connection: Connection, run: Run, *, again: bool) -> None:
    """Have events that counted on a run without an outcome decided anew, and its own drop's if that is still wanted."""
    if uris := disappointed(run, again=again):
        connection.execute(writes.REOPEN_DISAPPOINTED, {"of_model": run.model, "of_uris": list(uris), "of_run": run.key})
    if again:
        connection.execute(writes.REOPEN_EVENTS, {"of_events": [drop_event_id(run.model, run.drop)]})


def _columns(run: Run, change: Change) -> dict[str, Any]:
    plain = {
        "error": change.error,
        "orchestrator_run": change.orchestrator_run,
        "model_version": change.model_version,
        "ready_at": change.ready_at,
        "champion_version": change.champion_version,
    }
    values: dict[str, Any] = {column: value for column, value in plain.items() if value is not None}
    if change.extra_attempt:
        values["attempts_max"] = run.attempts_max + 1
    if change.final:
        values["attempts_max"] = run.attempt
    return values


def _as_seen(run: Run) -> dict[str, Any]:
    return {"of_run": run.key, "seen_state": run.state.value, "seen_attempt": run.attempt}


def _require_state(connection: Connection, run: Run) -> None:
    if connection.execute(writes.RUN_AS_SEEN, _as_seen(run)).first() is None:
        msg = f"run {run.name} is no longer {run.state}"
        raise StaleStateError(msg)


def _exactly_one(connection: Connection, statement: Update, values: Mapping[str, Any], *, otherwise: str) -> None:
    if connection.execute(statement, values).rowcount != 1:
        raise StaleStateError(otherwise)


def _add_champion(connection: Connection, model: str, champion: Champion, *, cause: str, now: datetime) -> None:
    row = {"model": model, "version": champion.version, "run_key": champion.run_key, "period": champion.period}
    connection.execute(writes.ADD_CHAMPION, {**row, "schema": plain_json(champion.schema), "cause": cause, "at": now})
