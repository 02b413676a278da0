"""The statements of a look at the ledger, built once: to build and recognise one takes longer than SQLite takes to answer it."""

from collections.abc import Iterable

from sqlalchemy import ColumnElement, Text, and_, bindparam, exists, func, literal_column, not_, or_, select, union

from trainer_daemon.adapters.ledger.tables import (
    answers,
    baselines,
    champions,
    decisions,
    drops,
    events,
    interventions,
    run_drops,
    runs,
)
from trainer_daemon.policy.runs import LIVE, OPEN, RunState

_MODEL, _KEY, _URI = (bindparam(name, type_=Text) for name in ("model", "key", "uri"))
_URIS, _KEYS, _MODELS, _VERSIONS = (
    bindparam(name, type_=Text, expanding=True) for name in ("uris", "keys", "models", "versions")
)


def word(value: str) -> ColumnElement[str]:
    """A constant as a part of the statement: only so an index over some of the rows is chosen, and the plan kept."""
    return literal_column(f"'{value}'", Text)


def words(states: Iterable[RunState]) -> list[ColumnElement[str]]:
    """Constants as parts of the statement, always in the same order."""
    return [word(state) for state in sorted(states)]


_RETRYABLE = and_(runs.c.state == word(RunState.FAILED), runs.c.attempt < runs.c.attempts_max)
ALIVE = or_(runs.c.state.in_(words(LIVE)), _RETRYABLE)
"""Runs that something is still to happen to."""

NEXT_PENDING = (
    select(events).where(events.c.model == _MODEL, events.c.outcome == word("pending")).order_by(events.c.sequence).limit(1)
)
KNOWN_EVENTS = select(events.c.id).where(events.c.id.in_(_KEYS))
ANNOUNCED_EVENTS = KNOWN_EVENTS.where(events.c.announced)
FORCED_EVENTS = select(events.c.id).where(events.c.force)
OTHER_BYTES = (
    select(events.c.id)
    .where(
        events.c.model == _MODEL, events.c.uri == _URI, events.c.kind == word("drop"), events.c.checksum != bindparam("checksum")
    )
    .limit(1)
)

LIVE_RUNS = select(runs).where(runs.c.model == _MODEL, ALIVE).order_by(runs.c.period, runs.c.sequence)
RUN = select(runs).where(runs.c.key == _KEY)
RUNS_OF_VERSIONS = select(runs).where(runs.c.model == _MODEL, runs.c.model_version.in_(_VERSIONS)).order_by(runs.c.sequence)
_SAME_BYTES = select(run_drops.c.run_key).where(run_drops.c.uri == _URI, run_drops.c.checksum == bindparam("checksum"))
RUNS_FOR_CONTENT = (
    select(runs)
    .where(runs.c.model == _MODEL, runs.c.key.in_(_SAME_BYTES), runs.c.event_id.not_in(FORCED_EVENTS))
    .order_by(runs.c.sequence)
)
OCCUPIED = (
    select(func.count(runs.c.model.distinct()))
    .select_from(runs)
    .where(runs.c.model.in_(_MODELS), or_(runs.c.state.in_(words(OPEN)), runs.c.has_slot))
)
"""How many models have an open run, or one that is being submitted."""
DROPS_OF_RUNS = select(run_drops).where(run_drops.c.run_key.in_(_KEYS)).order_by(run_drops.c.run_key, run_drops.c.position)
DECISIONS_OF_RUNS = select(*(column for column in decisions.c if column.name != "evaluation")).where(
    decisions.c.run_key.in_(_KEYS)
)
ANSWERS_TO_RUNS = select(answers).where(answers.c.run_key.in_(_KEYS))
_metrics = {name: decisions.c.evaluation[(name, "metrics")].label(name) for name in ("candidate", "champion")}
JUDGED = (
    select(runs.c.key, runs.c.period, runs.c.state, decisions.c.candidate_version, decisions.c.at, *_metrics.values())
    .select_from(decisions.join(runs, runs.c.key == decisions.c.run_key))
    .where(runs.c.model == _MODEL)
    .order_by(decisions.c.at.desc())
    .limit(bindparam("limit"))
)
"""Without their evaluations, which are large: only the metrics in them."""
EVALUATION = select(decisions.c.evaluation).where(decisions.c.run_key == _KEY, decisions.c.attempt == bindparam("attempt"))
FAILED_SINCE = (
    select(func.count())
    .select_from(runs)
    .where(runs.c.state == word(RunState.FAILED), runs.c.attempt >= runs.c.attempts_max, runs.c.updated_at >= bindparam("moment"))
)

CURRENT = select(drops).where(drops.c.model == _MODEL, drops.c.uri.in_(_URIS))
SIGNATURES = select(drops.c.uri, drops.c.signature).where(drops.c.model == _MODEL, drops.c.uri.in_(_URIS))
POSITIONS = select(drops.c.uri, drops.c.position).where(drops.c.model == _MODEL, drops.c.uri.in_(_URIS))
BASELINE = select(baselines.c.at).where(baselines.c.model == _MODEL)

_later = run_drops.alias()
_is_target = ~exists().where(_later.c.run_key == run_drops.c.run_key, _later.c.position > run_drops.c.position)
_BAD = (
    select(run_drops.c.uri, run_drops.c.checksum)
    .select_from(run_drops.join(runs, runs.c.key == run_drops.c.run_key))
    .where(runs.c.model == _MODEL, runs.c.state == word(RunState.QUARANTINED), _is_target)
)
"""What quarantined runs were for: the last drop of each, not the rest of its window."""
_CONDEMNED = select(events.c.uri, events.c.checksum).where(events.c.model == _MODEL, events.c.outcome == word("quarantined"))
"""What the run of a later month, in whose window it was, found to be bad."""
BAD_DROPS = union(_BAD.where(run_drops.c.uri.in_(_URIS)), _CONDEMNED.where(events.c.uri.in_(_URIS)))
_is_bad = or_(
    exists(_BAD.where(run_drops.c.uri == drops.c.uri, run_drops.c.checksum == drops.c.checksum)),
    exists(_CONDEMNED.where(events.c.uri == drops.c.uri, events.c.checksum == drops.c.checksum)),
)
NEWEST_DROPS = (
    select(drops)
    .where(drops.c.model == _MODEL, drops.c.period <= bindparam("up_to"), not_(_is_bad))
    .order_by(drops.c.period.desc(), drops.c.uri.desc())
    .limit(bindparam("limit"))
)

_of_model = select(champions).where(champions.c.model == _MODEL).order_by(champions.c.id.desc()).limit(1)
KNOWN_CHAMPION = _of_model
LAST_CHAMPION = _of_model.where(champions.c.version != "")

NEXT_INTERVENTION = (
    select(interventions)
    .where(interventions.c.model == _MODEL, interventions.c.outcome == "pending")
    .order_by(interventions.c.id)
    .limit(1)
)

LAST_CHANGE = select(
    select(func.coalesce(func.max(events.c.sequence), 0)).scalar_subquery(),
    select(func.count()).select_from(runs).where(runs.c.ending != "").scalar_subquery(),
    select(func.count()).select_from(answers).scalar_subquery(),
    select(func.count()).select_from(interventions).scalar_subquery(),
)
