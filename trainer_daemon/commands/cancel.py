"""`cancel`: ask the daemon to end a run; the daemon is what ends it."""

from pathlib import Path

from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.commands.matching import find_runs, near
from trainer_daemon.commands.opening import CommandError, open_session, os_user, reading
from trainer_daemon.commands.records import read_records
from trainer_daemon.policy.runs import LIVE, Run, RunState


def cancel(word: str, *, config: Path, model: str | None, reason: str) -> None:
    """Record the request and say who carries it out.

    Raises:
        CommandError: There is no such run, or it has ended.
    """
    session = open_session(config)
    with reading(session) as history:
        runs = [run for name in session.models(model) for run in read_records(history, name).runs]
    run = choose(word, runs)
    why = f"{os_user()}: {reason}" if reason else f"asked for by {os_user()}"
    with Ledger(session.settings.ledger) as ledger:
        ledger.request_cancel(run, why)
    print(f"Asked to cancel run {run.name} ({run.state}). {session.carried_out()}")  # noqa: T201 - the answer


def choose(word: str, runs: list[Run]) -> Run:
    """The one run that is meant, if it can still be cancelled.

    Raises:
        CommandError: There is none, there are several, or it has ended.
    """
    found = find_runs(word, runs)
    if not found:
        raise CommandError(_unknown(word, runs))
    if len(found) > 1:
        msg = f"{word} is more than one run; name one of {', '.join(run.name for run in found)}"
        raise CommandError(msg)
    if not _is_alive(found[0]):
        msg = f"run {found[0].name} has ended already, it is {found[0].state}; nothing is left to cancel"
        raise CommandError(msg)
    return found[0]


def _is_alive(run: Run) -> bool:
    return run.state in LIVE or (run.state is RunState.FAILED and run.attempt < run.attempts_max)


def _unknown(word: str, runs: list[Run]) -> str:
    alive = [run.name for run in runs if _is_alive(run)]
    closest = near(word, alive) or tuple(alive[-5:])
    return f"there is no run {word}; " + (
        f"runs that can be cancelled: {', '.join(closest)}" if closest else "no run is under way"
    )
