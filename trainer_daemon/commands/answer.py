"""`approve` and `reject`: write down what a person says to a promotion that waits; the daemon is what acts on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.commands.matching import find_runs
from trainer_daemon.commands.opening import CommandError, Session, local, now, open_session, os_user, reading
from trainer_daemon.commands.records import read_records
from trainer_daemon.policy.answers import Answer
from trainer_daemon.policy.approval import expires_at
from trainer_daemon.policy.runs import Run, RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a person says; an empty `by` is the user of the system."""

    approved: bool
    by: str
    reason: str


def answer(word: str, reply: Reply, *, config: Path, model: str | None) -> None:
    """Record the answer and say who carries it out.

    Raises:
        typer.BadParameter: The reason is empty.
        CommandError: There is no such run, it does not wait for approval, or has waited too long.
        StaleStateError: Somebody has answered already.
    """
    if not reply.reason.strip():
        message = "say why: it is kept with the decision"
        raise typer.BadParameter(message, param_hint="--reason")
    session = open_session(config)
    with reading(session) as history:
        runs = [run for name in session.models(model) for run in read_records(history, name).runs]
    run = choose(word, runs)
    said = Answer(approved=reply.approved, by=reply.by.strip() or os_user(), reason=reply.reason.strip(), at=now())
    if reply.approved:
        _refuse_late(run, said, session)
    with Ledger(session.settings.ledger) as ledger:
        ledger.answer(run, said)
    verb = "Approved" if reply.approved else "Rejected"
    print(f"{verb} version {run.model_version} of run {run.name}. {session.carried_out()}")  # noqa: T201 - the answer


def _refuse_late(run: Run, said: Answer, session: Session) -> None:
    rules = next(model.promotion.rules() for model in session.settings.models if model.name == run.model)
    until = expires_at(run, rules)
    if said.at >= until:
        force = session.command("promote", run.model_version, "--force", "--reason", "WHY")
        msg = f"run {run.name} waited for approval until {local(until)}, which is over; `{force}` makes it champion all the same"
        raise CommandError(msg)


def choose(word: str, runs: Sequence[Run]) -> Run:
    """The one run that is meant, if it waits for approval.

    Raises:
        CommandError: There is none, there are several, or it does not wait.
    """
    named = find_runs(word, runs)
    found = named or tuple(run for run in runs if run.state is RunState.AWAITING_APPROVAL and run.model_version == word)
    if len(found) > 1:
        msg = f"{word} is more than one run; name one of {', '.join(run.name for run in found)}"
        raise CommandError(msg)
    if found and found[0].state is RunState.AWAITING_APPROVAL:
        return found[0]
    problem = f"run {found[0].name} does not wait for approval, it is {found[0].state}" if found else f"there is no run {word}"
    msg = f"{problem}; {_waiting(runs)}"
    raise CommandError(msg)


def _waiting(runs: Sequence[Run]) -> str:
    names = [f"{run.name} (version {run.model_version})" for run in runs if run.state is RunState.AWAITING_APPROVAL]
    return f"for approval wait: {', '.join(names)}" if names else "none waits for approval"
