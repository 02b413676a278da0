"""`status`: where every model stands, as JSON for programs or as a table for people."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer_daemon.adapters.ledger.history import Holding
from trainer_daemon.adapters.ledger.outbox import Waiting
from trainer_daemon.commands.opening import Session, open_session, reading
from trainer_daemon.commands.records import Records, read_records
from trainer_daemon.policy.events import EventKind
from trainer_daemon.policy.interventions import Intervention
from trainer_daemon.policy.run_document import run_document
from trainer_daemon.policy.runs import Run, RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One look at everything.

    Attributes:
        models: One per configured model, in the order of the configuration.
        ran_before: Whether any daemon has used the ledger yet.
        waiting: What waits to be told to each endpoint.
    """

    session: Session
    models: tuple[Records, ...]
    ran_before: bool
    waiting: tuple[Waiting, ...] = ()


def status(*, config: Path, model: str | None, as_json: bool) -> None:
    """Print where every configured model stands; a ledger that does not exist yet is not created."""
    session = open_session(config)
    with reading(session) as history:
        records = tuple(read_records(history, name) for name in session.models(model))
        endpoints = [endpoint.name for endpoint in session.settings.notifications]
        waiting = history.waiting(endpoints) if history else tuple(Waiting(endpoint=name) for name in endpoints)
        seen = Status(session=session, models=records, ran_before=history is not None, waiting=waiting)
    if as_json:
        print(json.dumps(document(records, session.link_of, waiting), ensure_ascii=False, indent=2))  # noqa: T201 - the answer
        return
    from trainer_daemon.commands.status_table import show

    show(seen)


def document(models: tuple[Records, ...], link_of: Callable[[Run], str], waiting: tuple[Waiting, ...] = ()) -> dict[str, Any]:
    """The JSON of `status --json`; its shape is a contract.

    Args:
        models: What is known of each.
        link_of: The page of a run, or empty.
        waiting: What waits to be told to each endpoint.
    """
    return {
        "models": [_model(records, link_of) for records in models],
        "notifications": [_endpoint(entry) for entry in waiting],
    }


def _endpoint(waiting: Waiting) -> dict[str, Any]:
    return {
        "endpoint": waiting.endpoint,
        "waiting": waiting.number,
        "since": waiting.since.isoformat() if waiting.since else None,
        "error": waiting.error or None,
        "refused": waiting.refused,
    }


def _model(records: Records, link_of: Callable[[Run], str]) -> dict[str, Any]:
    champion = records.champion
    run = records.run_of(champion.run_key) if champion else None
    return {
        "name": records.model,
        "champion": {"version": champion.version, "run": run.name if run else None} if champion else None,
        "runs": [run_document(run, link_of(run)) for run in records.runs],
        "quarantined": [
            *({"drop": run.drop.ref, "reason": run.error} for run in quarantined(records)),
            *_condemned(records),
        ],
        "superseded": list(dict.fromkeys(_superseded(records))),
        "interventions": [_intervention(each) for each in records.interventions],
        "lease": _lease(records.holding),
    }


def _intervention(each: Intervention) -> dict[str, Any]:
    return {
        "action": each.kind,
        "version": each.version,
        "replaces": each.replaces or None,
        "by": each.by,
        "reason": each.reason,
        "at": each.at.isoformat(),
        "outcome": each.outcome,
        "why": each.why or None,
    }


def _lease(holding: Holding | None) -> dict[str, Any] | None:
    if holding is None:
        return None
    return {"holder": holding.lease.holder or None, "token": holding.lease.token, "held": holding.is_held}


def quarantined(records: Records) -> tuple[Run, ...]:
    """The runs whose drop was bad."""
    return tuple(run for run in records.runs if run.state is RunState.QUARANTINED)


def _condemned(records: Records) -> Iterator[dict[str, str]]:
    """Drops that the run of a later month found to be bad."""
    for item in records.happenings:
        if item.outcome == "quarantined" and item.event.drop is not None:
            yield {"drop": item.event.drop.ref, "reason": item.why}


def _superseded(records: Records) -> Iterator[str]:
    """Refs whose run gave way to newer data, or that were newer data's predecessor before they had a run."""
    yield from (run.drop.ref for run in records.runs if run.state is RunState.SUPERSEDED)
    for item in records.happenings:
        if item.outcome == "superseded" and item.event.kind is EventKind.DROP and item.event.drop is not None:
            yield item.event.drop.ref
