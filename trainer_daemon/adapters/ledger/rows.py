"""Between rows and the policy's values; no SQL is executed here."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping

from trainer_daemon.policy.answers import Answer
from trainer_daemon.policy.events import DatasetVersion, Event, EventKind, Source
from trainer_daemon.policy.evidence import numbers
from trainer_daemon.policy.observations import Verdict
from trainer_daemon.policy.promotion import Decision, Result, RuleOutcome
from trainer_daemon.policy.runs import Run, RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A run that was judged, by the metrics of its last decision; what was no number is absent."""

    run_key: str
    period: str
    state: RunState
    version: str
    at: datetime
    candidate: Mapping[str, float]
    champion: Mapping[str, float]


def event_values(event: Event) -> dict[str, Any]:
    """The columns of an event, but for those the ledger fills in itself."""
    return {
        "id": event.id,
        "model": event.model,
        "kind": event.kind.value,
        "source": event.source.value,
        "signature": event.signature,
        "force": event.force,
        "by": event.by,
        "skip": event.skip,
        "announced": event.source is Source.PUBSUB,
        "occurred_at": event.occurred_at,
        **(drop_values(event.drop) if event.drop else {}),
    }


def drop_values(drop: DatasetVersion) -> dict[str, Any]:
    """The columns that describe a drop, in every table that has one; `asdict` would copy each value."""
    return {name: getattr(drop, name) for name in DatasetVersion.__slots__}


def drop_of(row: RowMapping | Mapping[str, Any]) -> DatasetVersion:
    """The drop in a row."""
    return DatasetVersion(
        uri=row["uri"], generation=row["generation"], checksum=row["checksum"], period=row["period"], size_bytes=row["size_bytes"]
    )


def event_of(row: RowMapping) -> Event:
    """The event in a row."""
    return Event(
        id=row["id"],
        kind=EventKind(row["kind"]),
        model=row["model"],
        source=Source(row["source"]),
        occurred_at=row["occurred_at"],
        drop=drop_of(row) if row["uri"] else None,
        skip=row["skip"],
        force=row["force"],
        by=row["by"],
        signature=row["signature"],
    )


def run_of(
    row: RowMapping, drops: Iterable[RowMapping], decision: RowMapping | None = None, answer: RowMapping | None = None
) -> Run:
    """The run in a row, with its drops, oldest first, and the decision of its present attempt with the answer to it."""
    return Run(
        key=row["key"],
        model=row["model"],
        period=row["period"],
        drops=tuple(drop_of(drop) for drop in drops),
        state=RunState(row["state"]),
        attempt=row["attempt"],
        attempts_max=row["attempts_max"],
        sequence=row["sequence"],
        ready_at=row["ready_at"],
        updated_at=row["updated_at"],
        orchestrator_run=row["orchestrator_run"],
        model_version=row["model_version"],
        error=row["error"],
        ending=RunState(row["ending"]) if row["ending"] else None,
        ending_reason=row["ending_reason"],
        champion_version=row["champion_version"],
        event_id=row["event_id"],
        decision=decision_of(decision) if decision else None,
        answer=answer_of(answer) if answer else None,
    )


def rules_json(decision: Decision) -> list[dict[str, Any]]:
    """Every rule's outcome as JSON values; see `drop_values`."""
    names = RuleOutcome.__slots__
    return [{name: getattr(outcome, name) for name in names} | {"result": outcome.result.value} for outcome in decision.outcomes]


def decision_of(row: RowMapping) -> Decision:
    """The decision in a row."""
    return Decision(
        verdict=Verdict(row["verdict"]),
        outcomes=tuple(RuleOutcome(**{**rule, "result": Result(rule["result"])}) for rule in row["rules"]),
        candidate_version=row["candidate_version"],
        champion_version=row["champion_version"],
    )


def answer_of(row: RowMapping) -> Answer:
    """The answer in a row."""
    return Answer(approved=row["approved"], by=row["by"], reason=row["reason"], at=row["at"])


def judged_of(row: RowMapping) -> Judged:
    """The judged run in a row."""
    return Judged(
        run_key=row["key"],
        period=row["period"],
        state=RunState(row["state"]),
        version=row["candidate_version"],
        at=row["at"],
        candidate=_metrics_of(row["candidate"]),
        champion=_metrics_of(row["champion"]),
    )


def _metrics_of(document: object) -> dict[str, float]:
    return numbers(document) if isinstance(document, dict) else {}


def plain_json(document: Mapping[str, Any]) -> dict[str, Any]:
    """A deep copy as plain JSON types; numbers that JSON does not have, and PostgreSQL refuses, are null."""
    copy: dict[str, Any] = json.loads(json.dumps(document), parse_constant=lambda _: None)
    return copy
