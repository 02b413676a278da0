"""`history`: who was champion from when to when, why, and by which numbers; as JSON for programs or as lines for people."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from trainer_daemon.adapters.ledger.history import History, Judgement, Reign, Transition
from trainer_daemon.commands.opening import local, open_session, reading
from trainer_daemon.commands.records import Records
from trainer_daemon.commands.timeline import evidence_of
from trainer_daemon.policy.interventions import Intervention
from trainer_daemon.policy.observations import parse_evaluation
from trainer_daemon.policy.runs import Run, RunState

_FOUND = "it was champion when this ledger was begun"
_EXTERNAL = "the alias was moved outside the daemon"
_REMOVED = "the alias was removed outside the daemon"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """The time of one champion.

    Attributes:
        until: None for the one of now.
        run: That made it; None when it is none of this ledger's.
        judgement: The last one before it became champion; None when there is none.
        why: One sentence or more.
        intervention: What a person did that made it champion; None when nobody did.
    """

    reign: Reign
    until: datetime | None
    run: Run | None
    judgement: Judgement | None
    why: str
    intervention: Intervention | None = None

    @property
    def told(self) -> str:
        """Why, for people: what carried a decision, when nothing but the rules did."""
        decision = self.judgement.decision if self.judgement else None
        return decision.main_reason if decision and self.why == "; ".join(decision.reasons) else self.why


def history(*, config: Path, model: str | None, as_json: bool) -> None:
    """Print who was champion of every configured model; a ledger that does not exist yet is not created."""
    session = open_session(config)
    with reading(session) as past:
        models = {name: tuple(chapters(past, name)) if past else () for name in session.models(model)}
    if as_json:
        document = [{"name": name, "champions": [_item(each) for each in told]} for name, told in models.items()]
        print(json.dumps({"models": document}, ensure_ascii=False, indent=2))  # noqa: T201 - the answer
        return
    for name, told in models.items():
        print("\n".join(_lines(name, told)))  # noqa: T201 - the answer


def chapters(past: History, model: str, part: slice = slice(None)) -> Iterator[Chapter]:
    """The champions of a model, oldest first; that there is nobody any more is told, that there was nobody yet is not.

    Args:
        past: Is asked about the runs of these champions only.
        model: Whose.
        part: Which of them.
    """
    records = Records(model=model, reigns=past.reigns(model), interventions=past.interventions(model))
    followed = zip(records.reigns, (*records.reigns[1:], None), strict=False)  # without any there is none that follows
    for reign, following in [pair for pair in followed if pair[0].version or pair[0].cause != "found"][part]:
        run = past.find_run(reign.run_key) if reign.run_key else None
        yield _chapter(reign, following.at if following else None, replace(records, runs=(run,) if run else ()), past)


def _chapter(reign: Reign, until: datetime | None, records: Records, past: History) -> Chapter:
    """What came before the promotion belongs to it: the last decision about its version, and the move's own reason."""
    run, intervention = records.run_of(reign.run_key), records.intervention_of(reign)
    if intervention is None and (run is None or reign.cause != "promoted"):
        return Chapter(reign=reign, until=until, run=run, judgement=None, why=_outside(reign))
    made = [each for each in past.judgements(reign.run_key) if each.at <= reign.at]
    return Chapter(
        reign=reign,
        until=until,
        run=run,
        judgement=made[-1] if made else None,
        why=intervention.story if intervention else _reason(past.transitions(reign.run_key), reign),
        intervention=intervention,
    )


def _reason(moves: tuple[Transition, ...], reign: Reign) -> str:
    promotions = [move.why for move in moves if move.to_state == RunState.PROMOTED and move.at <= reign.at]
    return promotions[-1] if promotions else "it was promoted"


def _outside(reign: Reign) -> str:
    if not reign.version:
        return _REMOVED
    return _FOUND if reign.cause == "found" else _EXTERNAL


def _item(each: Chapter) -> dict[str, Any]:
    return {
        "version": each.reign.version or None,
        "from": each.reign.at.isoformat(),
        "until": each.until.isoformat() if each.until else None,
        "cause": each.reign.cause,
        "period": each.reign.period or None,
        "run": each.run.name if each.run else None,
        "why": each.why,
        "by": each.intervention.by if each.intervention else None,
        "metrics": _metrics(each.judgement),
    }


def _metrics(made: Judgement | None) -> dict[str, Any] | None:
    """What the new champion and the one before it scored on the same held-out rows."""
    try:
        read = parse_evaluation(made.evaluation) if made else None
    except ValueError:
        return None
    if read is None:
        return None
    before = dict(read.champion) if read.champion_version else None
    return {
        "holdout_rows": read.holdout_rows,
        "candidate": dict(read.candidate),
        "champion": before,
        "champion_version": read.champion_version or None,
    }


def _lines(model: str, told: tuple[Chapter, ...]) -> Iterator[str]:
    changes = "1 change" if len(told) == 1 else f"{len(told)} changes"
    yield f"{model}: {changes} of champion" if told else f"{model}: nobody has been champion yet"
    for each in told:
        until = local(each.until) if each.until else "now"
        who = f"version {each.reign.version}" if each.reign.version else "nobody"
        period = f" ({each.reign.period})" if each.reign.period else ""
        run = f", run {each.run.name}" if each.run else ""
        yield f"{local(each.reign.at)} to {until}  {who}{period}, {each.reign.cause}{run}"
        yield f"    {each.told}"
        if each.judgement:
            headline, scores = evidence_of(each.judgement.evaluation, each.judgement.decision)
            yield f"    {headline}"
            yield from (f"      {score}" for score in scores)
