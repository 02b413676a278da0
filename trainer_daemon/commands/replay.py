"""`replay`: which decisions other rules would have made; reads the ledger, changes nothing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainer_daemon.adapters.ledger.history import History
from trainer_daemon.commands.opening import CommandError, local, open_session, reading
from trainer_daemon.commands.replaying import Replayed, replayed
from trainer_daemon.config import Settings, load_settings
from trainer_daemon.policy.observations import Verdict
from trainer_daemon.policy.promotion import Decision, PromotionPolicy


def replay(policy: Path, *, since: str, config: Path, model: str | None, as_json: bool) -> None:
    """Print every decision that other rules would have made differently.

    Args:
        policy: A configuration file; of its models the rules of promotion count.
        since: The first period to look at; empty for all.
        config: Where the ledger is.
        model: Only this one.
        as_json: For programs: every decision, also those that would be the same.

    Raises:
        ConfigError: One of the files is wrong.
        CommandError: A model has no rules in the other file.
    """
    session = open_session(config)
    other = load_settings(policy, {})  # what the environment says of the daemon's own rules must not speak for these
    rules = {name: _rules(other, name, policy) for name in session.models(model)}
    with reading(session) as history:
        judged = {name: _replayed(history, name, since, rules[name]) if history else () for name in rules}
    if as_json:
        models = [{"name": name, "decisions": [_item(each) for each in found]} for name, found in judged.items()]
        print(json.dumps({"models": models}, ensure_ascii=False, indent=2))  # noqa: T201 - the answer
        return
    for name, found in judged.items():
        print("\n".join(_lines(name, found)))  # noqa: T201 - the answer


def _rules(settings: Settings, name: str, file: Path) -> PromotionPolicy:
    found = next((model for model in settings.models if model.name == name), None)
    if found is None:
        names = ", ".join(model.name for model in settings.models)
        msg = f"{file} has no model {name}, so there are no rules to judge it by; it has {names}: choose one with --model"
        raise CommandError(msg)
    return found.promotion.rules()


def _replayed(history: History, model: str, since: str, policy: PromotionPolicy) -> tuple[Replayed, ...]:
    """Every decision of a model, oldest first."""
    reigns = history.reigns(model)
    runs = [run for run in history.runs(model) if run.period >= since]
    found = [replayed(run, made, reigns, policy) for run in runs for made in history.judgements(run.key)]
    return tuple(sorted(found, key=lambda each: each.at))


def _item(each: Replayed) -> dict[str, Any]:
    return {
        "run": each.run.name,
        "attempt": each.attempt,
        "period": each.run.period,
        "at": each.at.isoformat(),
        "version": each.then.candidate_version or None,
        "differs": each.differs,
        "then": _decision(each.then),
        "now": _decision(each.now),
    }


def _decision(decision: Decision) -> dict[str, Any]:
    return {"verdict": decision.verdict.value, "reasons": list(decision.reasons)}


def _lines(model: str, found: tuple[Replayed, ...]) -> Iterator[str]:
    differing = [each for each in found if each.differs]
    yield f"{model}: {len(differing)} of {len(found)} decisions would be different"
    for each in differing:
        yield f"{local(each.at)}  {each.run.period} version {each.then.candidate_version or '-'}, run {each.run.name}"
        for when, decision in (("then", each.then), ("now ", each.now)):
            yield f"    {when} {decision.verdict.value}: {_told(decision)}"


def _told(decision: Decision) -> str:
    """All that kept a candidate out, or what it became champion by."""
    return decision.main_reason if decision.verdict is Verdict.PROMOTE else "; ".join(decision.reasons)
