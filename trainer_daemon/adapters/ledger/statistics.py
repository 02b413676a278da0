"""Where every model stands, in numbers: what metrics are made of. Read-only, and only read again when something has changed."""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, func, select

from trainer_daemon.adapters.ledger.database import reading_engine, translated
from trainer_daemon.adapters.ledger.tables import champions, decisions, events, runs, transitions
from trainer_daemon.policy.events import EventKind
from trainer_daemon.policy.observations import Evaluation, parse_evaluation
from trainer_daemon.policy.runs import OPEN, RunState

_DECIDED = (RunState.PROMOTED.value, RunState.REJECTED.value)
_QUEUED, _RUNNING, _FAILED = RunState.QUEUED.value, RunState.RUNNING.value, RunState.FAILED.value
_WORDS = {"rejected": "invalid"}
"""A candidate that was rejected is something else than an object that can be no drop."""
_is_final = runs.c.attempt >= runs.c.attempts_max

_TOKEN = select(
    select(func.max(events.c.sequence)).scalar_subquery(),
    select(func.count()).select_from(events).where(events.c.outcome == "pending").scalar_subquery(),
    select(func.max(transitions.c.id)).scalar_subquery(),
    select(func.count()).select_from(decisions).scalar_subquery(),
    select(func.max(champions.c.id)).scalar_subquery(),
)
"""Differs whenever anything below does."""
_PENDING = (
    select(events.c.model, func.count().label("number"), func.min(events.c.recorded_at).label("since"))
    .where(events.c.outcome == "pending")
    .group_by(events.c.model)
)
_DROPS = (
    select(events.c.model, events.c.outcome, runs.c.state, func.count().label("number"))
    .select_from(events.outerjoin(runs, and_(runs.c.key == events.c.run_key, events.c.outcome == "queued")))
    .where(events.c.kind == EventKind.DROP.value)
    .group_by(events.c.model, events.c.outcome, runs.c.state)
)
_RUNS = select(
    runs.c.model,
    runs.c.state,
    _is_final.label("final"),
    func.count().label("number"),
    func.min(runs.c.updated_at).label("since"),
).group_by(runs.c.model, runs.c.state, _is_final)
_judged = runs.alias()
_last_decided = (
    select(func.max(_judged.c.updated_at))
    .where(_judged.c.model == runs.c.model, _judged.c.state.in_(_DECIDED))
    .correlate(runs)
    .scalar_subquery()
)
_FAILURES = (
    select(runs.c.model, func.count().label("number"))
    .where(runs.c.state == _FAILED, _is_final, _last_decided.is_(None) | (runs.c.updated_at > _last_decided))
    .group_by(runs.c.model)
)
_MOVES = (
    select(
        transitions.c.id, transitions.c.run_key, runs.c.model, transitions.c.from_state, transitions.c.to_state, transitions.c.at
    )
    .select_from(transitions.join(runs, runs.c.key == transitions.c.run_key))
    .order_by(transitions.c.id)
)
_DECISIONS = select(runs.c.model, decisions.c.verdict, decisions.c.rules).select_from(
    decisions.join(runs, runs.c.key == decisions.c.run_key)
)
_last_champion = select(func.max(champions.c.id)).group_by(champions.c.model)
_CHAMPIONS = select(champions.c.model, champions.c.version, champions.c.period, champions.c.at).where(
    champions.c.id.in_(_last_champion)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reigning:
    """Who is champion."""

    version: str
    period: str
    since: datetime


@dataclass(slots=True, kw_only=True)
class Durations:
    """How long attempts were under way, in seconds, that all left the state RUNNING for the same one."""

    bounds: Sequence[float]
    number: int = 0
    total_s: float = 0.0
    at_most: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.at_most = self.at_most or [0] * len(self.bounds)

    def add(self, seconds: float) -> None:
        """One more; `at_most` counts, for each bound, those that took no longer."""
        self.number += 1
        self.total_s += seconds
        self.at_most = [count + (seconds <= bound) for count, bound in zip(self.at_most, self.bounds, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What goes on, and what waits.

    Attributes:
        runs: By state.
        open_since: Since when the open run has been in its state; None when none is open.
        waiting: Events that nobody has acted on, runs in the backlog, and failed ones that are tried again.
        waiting_since: Since when the oldest of these has waited; None when nothing waits.
    """

    runs: Mapping[str, int]
    open_since: datetime | None
    waiting: int
    waiting_since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where one model stands.

    Attributes:
        drops: By what became of them: an event's outcome, or in small letters the state of the run that it started.
        failures: Runs that failed for good since one was last decided.
        verdicts: Decisions by verdict.
        rules: Outcomes of rules by rule and result.
        evaluation: That of the newest decision, if it can be read.
        durations: By the state that attempts left RUNNING for.
    """

    model: str
    drops: Mapping[str, int]
    progress: Progress
    failures: int
    verdicts: Mapping[str, int]
    rules: Mapping[tuple[str, str], int]
    champion: Reigning | None
    evaluation: Evaluation | None
    durations: Mapping[str, Durations]


class Statistics:
    """Counts in a ledger; threads may share it, and take turns.

    Args:
        url: Of the ledger's database; connected to when somebody asks.
        models: Those that are configured; what others left is not counted.
        duration_bounds: Upper bounds for `Durations`, in seconds, growing.
    """

    def __init__(self, url: str, models: Sequence[str], duration_bounds: Sequence[float]) -> None:
        self._engine = reading_engine(url)
        self._models = models
        self._lock = threading.Lock()
        self._token: tuple[object, ...] = ()
        self._standings: tuple[Standing, ...] = ()
        self._decided = _Decided()
        self._stopwatch = _Stopwatch(duration_bounds)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def standings(self) -> tuple[Standing, ...]:
        """One per model.

        Raises:
            TemporaryError: The database cannot answer, or is not made yet.
            PermanentError: It is no ledger.
        """
        with self._lock, self._reading() as connection:
            token = tuple(connection.execute(_TOKEN).one())
            if token != self._token:
                self._standings = self._count(connection)
                self._token = token
            return self._standings

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with translated(), self._engine.connect() as connection:
            yield connection

    def _count(self, connection: Connection) -> tuple[Standing, ...]:
        self._stopwatch.read(connection)
        self._decided.read(connection, self._models)
        pending = {row.model: row for row in connection.execute(_PENDING)}
        drops = connection.execute(_DROPS).all()
        states = connection.execute(_RUNS).all()
        failures = {row.model: row.number for row in connection.execute(_FAILURES)}
        reigning = {row.model: row for row in connection.execute(_CHAMPIONS)}
        return tuple(
            Standing(
                model=model,
                drops=_drops(row for row in drops if row.model == model),
                progress=_progress([row for row in states if row.model == model], pending.get(model)),
                failures=failures.get(model, 0),
                verdicts=self._decided.verdicts[model],
                rules=self._decided.rules[model],
                champion=_champion(reigning.get(model)),
                evaluation=self._decided.evaluations.get(model),
                durations={state: copy(taken) for state, taken in self._stopwatch.durations.get(model, {}).items()},
            )
            for model in self._models
        )


class _Decided:
    """What decisions came to; read again when there are more of them, since each is written once."""

    def __init__(self) -> None:
        self._number = -1
        self.verdicts: dict[str, Counter[str]] = {}
        self.rules: dict[str, Counter[tuple[str, str]]] = {}
        self.evaluations: dict[str, Evaluation] = {}

    def read(self, connection: Connection, models: Sequence[str]) -> None:
        number = connection.execute(select(func.count()).select_from(decisions)).scalar_one()
        if number == self._number:
            return
        self.verdicts = {model: Counter() for model in models}
        self.rules = {model: Counter() for model in models}
        for row in connection.execute(_DECISIONS):
            if row.model in self.verdicts:
                self.verdicts[row.model][row.verdict] += 1
                self.rules[row.model].update((rule["rule"], rule["result"]) for rule in row.rules)
        found = {model: _evaluation(connection, model) for model in models}
        self.evaluations = {model: evaluation for model, evaluation in found.items() if evaluation is not None}
        self._number = number


class _Stopwatch:
    """How long attempts ran; reads only the transitions that it has not seen, since none ever changes."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._seen = 0
        self._began: dict[str, datetime] = {}
        self.durations: dict[str, dict[str, Durations]] = {}

    def read(self, connection: Connection) -> None:
        for move in connection.execute(_MOVES.where(transitions.c.id > self._seen)):
            self._seen = move.id
            if move.to_state == _RUNNING:
                self._began[move.run_key] = move.at
            elif move.from_state == _RUNNING and (began := self._began.pop(move.run_key, None)) is not None:
                of_model = self.durations.setdefault(move.model, {})
                of_state = of_model.setdefault(move.to_state, Durations(bounds=self._bounds))
                of_state.add(max(0.0, (move.at - began).total_seconds()))


def _drops(rows: Iterable[Row[Any]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for row in rows:
        found[row.state.lower() if row.state else _WORDS.get(row.outcome, row.outcome)] += row.number
    return found


def _progress(states: Sequence[Row[Any]], pending: Row[Any] | None) -> Progress:
    by_state: Counter[str] = Counter()
    for row in states:
        by_state[row.state] += row.number
    waits = [row for row in states if row.state == _QUEUED or (row.state == _FAILED and not row.final)]
    waiting = [*waits, *([pending] if pending else [])]
    return Progress(
        runs=by_state,
        open_since=min((row.since for row in states if row.state in OPEN), default=None),
        waiting=sum(row.number for row in waiting),
        waiting_since=min((row.since for row in waiting), default=None),
    )


def _champion(row: Any) -> Reigning | None:  # noqa: ANN401 - a row, or None
    """Nobody when the alias was found to point nowhere."""
    return Reigning(version=row.version, period=row.period, since=row.at) if row is not None and row.version else None


def _evaluation(connection: Connection, model: str) -> Evaluation | None:
    newest = (
        select(decisions.c.evaluation)
        .select_from(decisions.join(runs, runs.c.key == decisions.c.run_key))
        .where(runs.c.model == model)
        .order_by(decisions.c.at.desc(), runs.c.sequence.desc())
        .limit(1)
    )
    document = connection.execute(newest).scalar()
    try:
        return parse_evaluation(document or {})
    except ValueError:
        return None
