"""`report`: the page of a run as a file, made from the ledger; asks nobody and changes nothing else."""

from dataclasses import replace
from pathlib import Path

from trainer_daemon.adapters.ledger.history import History, Judgement, Transition
from trainer_daemon.commands.matching import match
from trainer_daemon.commands.opening import CommandError, Session, open_session, reading
from trainer_daemon.commands.records import read_records
from trainer_daemon.policy.answers import APPROVAL
from trainer_daemon.policy.promotion import Decision
from trainer_daemon.policy.rules import outcome
from trainer_daemon.policy.runs import Run, RunState
from trainer_daemon.reporting import Reported, report_of


def report(word: str, *, out: Path | None, config: Path, model: str | None) -> None:
    """Write the page and say where it is.

    Args:
        word: A run, a version, a drop or a period of one run.
        out: The file; None for one that is called like the run.
        config: Where the ledger is.
        model: Only this one.

    Raises:
        CommandError: It is no run that was judged, or it is several, or the file cannot be written.
    """
    session = open_session(config)
    with reading(session) as history:
        if history is None:
            raise CommandError(_unknown(word))
        run, made = _judged(word, history, session.models(model))
        page = _page(history, run, made, session)
    file = out or Path(f"{run.name}.html")
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as exc:
        msg = f"{file} cannot be written: {exc.strerror}"
        raise CommandError(msg) from exc
    print(f"The report of run {run.name} is in {file}.")  # noqa: T201 - the answer


def _judged(word: str, history: History, models: tuple[str, ...]) -> tuple[Run, Judgement]:
    """The one run that is meant, with its last decision."""
    found = [item for name in models if (item := match(word, read_records(history, name)))]
    runs = [run for item in found for run in item.runs]
    judged = [(run, made[-1]) for run in runs if (made := history.judgements(run.key))]
    if len(judged) > 1:
        msg = f"{word} is more than one run; name one of {', '.join(run.name for run, _ in judged)}"
        raise CommandError(msg)
    if not judged:
        raise CommandError(_unjudged(runs[0]) if runs else _unknown(word))
    return judged[0]


def _page(history: History, run: Run, made: Judgement, session: Session) -> str:
    decision = _with_answer(made.decision, history.transitions(run.key))
    reported = Reported(
        run=run,
        decision=decision,
        became=run.state,
        evaluation=made.evaluation,
        judged=history.judged(run.model),
        metric=session.model(run.model).promotion.metric,
        link=session.link_of(run),
    )
    return report_of(reported)


def _with_answer(decision: Decision, moves: tuple[Transition, ...]) -> Decision:
    """A person's answer, or that there was none in time, ended the wait for it."""
    last = moves[-1] if moves else None
    if last is None or last.from_state != RunState.AWAITING_APPROVAL:
        return decision
    answer = outcome(APPROVAL, passed=last.to_state == RunState.PROMOTED, sentence=last.why)
    return replace(decision, outcomes=(*decision.outcomes, answer))


def _unknown(word: str) -> str:
    return f"there is no run {word}; `trainer-daemon status` shows those there are"


def _unjudged(run: Run) -> str:
    return f"run {run.name} has not been judged, it is {run.state}; `trainer-daemon explain {run.name}` tells what there is"
