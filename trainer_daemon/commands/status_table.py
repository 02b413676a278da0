"""`status` for people: champion, runs, what waits and what to do next; on a narrow terminal as lines instead of a table."""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from trainer_daemon.adapters.ledger.history import Holding, Reign
from trainer_daemon.adapters.ledger.outbox import Waiting
from trainer_daemon.commands.opening import file_name, local
from trainer_daemon.commands.records import Records
from trainer_daemon.commands.status import Status, quarantined
from trainer_daemon.commands.terminal import console
from trainer_daemon.policy.runs import LIVE, Run, RunState
from trainer_daemon.telemetry.redaction import redacted

if TYPE_CHECKING:
    from rich.console import Console

_URI_FOLDER = re.compile(r"\b[a-z]+://\S*/")
RUNS_SHOWN = 20
TABLE_COLUMNS_MIN = 90
STYLES: Mapping[RunState, str] = {
    RunState.QUEUED: "",
    RunState.RUNNING: "cyan",
    RunState.TRAINED: "cyan",
    RunState.FAILED: "red",
    RunState.PROMOTED: "green",
    RunState.REJECTED: "yellow",
    RunState.AWAITING_APPROVAL: "magenta",
    RunState.QUARANTINED: "red",
    RunState.SUPERSEDED: "dim",
    RunState.CANCELED: "dim",
}


def show(seen: Status) -> None:
    """Print everything of all models, then what to do next."""
    out = console()
    for records in seen.models:
        _show_model(records, out)
    for line in undelivered(seen.waiting):
        out.print(line, soft_wrap=True)
    for hint in hints(seen):
        out.print(hint, soft_wrap=True)


def undelivered(waiting: tuple[Waiting, ...]) -> Iterator[str]:
    """What has not been told to whom."""
    for entry in waiting:
        if entry.since is not None:
            why = f": {entry.error}" if entry.error else ""
            words = "1 notification waits" if entry.number == 1 else f"{entry.number} notifications wait"
            yield f"{words} for {entry.endpoint}, the oldest since {local(entry.since)}{why}"
        if entry.refused:
            words = "1 notification was" if entry.refused == 1 else f"{entry.refused} notifications were"
            yield f"{words} refused by {entry.endpoint}"


def hints(seen: Status) -> Iterator[str]:
    """What a person would do next."""
    session = seen.session
    if not seen.ran_before:
        yield f"Nothing has happened yet: no daemon has used the ledger {redacted(session.settings.ledger)}."
    yield session.daemon()
    runs = [run for records in seen.models for run in records.runs]
    waiting = [run for run in runs if run.state is RunState.AWAITING_APPROVAL and run.answer is None]
    if waiting:
        yield f"For approval: `{session.command('approve', waiting[-1].name, '--reason', 'WHY')}`, or `reject` with a reason"
    bad = [run for records in seen.models for run in quarantined(records)]
    if bad:
        yield f"Why a drop was quarantined: `{session.command('explain', bad[-1].name)}`"
    elif runs:
        yield f"How a run came to its end: `{session.command('explain', runs[-1].name)}`"
    else:
        model = session.model(seen.models[0].model)
        place = model.bucket if model.on_google else model.folder
        yield f"Put a file named like {model.drops.format(period='2025_03')} into {place} to have it trained."


def _show_model(records: Records, out: "Console") -> None:
    out.print(records.model, style="bold", end="  ")
    out.print(_champion(records), soft_wrap=True)
    if records.runs:
        if out.width < TABLE_COLUMNS_MIN:
            _show_lines(records, out)
        else:
            _show_table(records, out)
    for line in (*_events(records), *_interventions(records)):
        out.print(line)
    if records.holding is not None:
        out.print(_lease(records.holding), soft_wrap=True)
    out.print()


def _lease(holding: Holding) -> str:
    """Who works on the model."""
    if holding.is_held:
        return f"worked on by {holding.lease.holder}"
    return f"worked on by no daemon; the last was {holding.lease.holder}" if holding.lease.holder else "worked on by no daemon"


def _champion(records: Records) -> str:
    champion = records.champion
    if champion is None:
        return "no champion yet"
    run = records.run_of(champion.run_key)
    origin = f"run {run.name}" if run else "none of this ledger's runs"
    return f"champion: version {champion.version}, from {origin}, since {local(champion.at)}{_how(records, champion)}"


def _how(records: Records, champion: Reign) -> str:
    person = records.intervention_of(champion)
    if person is not None:
        return f" ({person.story})"
    return "" if champion.cause == "promoted" else f" ({champion.cause})"


def _shown(records: Records) -> tuple[Run, ...]:
    """The newest runs, and all that something is still to happen to."""
    newest = records.runs[-RUNS_SHOWN:]
    return tuple(run for run in records.runs if run in newest or run.state in LIVE)


def _show_table(records: Records, out: "Console") -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=False)
    for name in ("Period", "State", "Attempt", "Version"):
        table.add_column(name, no_wrap=True)
    table.add_column("Drop", overflow="fold")
    table.add_column("Why", overflow="fold", ratio=1)
    for run in _shown(records):
        state = Text(run.state.value, style=STYLES[run.state])
        table.add_row(run.period, state, _attempt(run), run.model_version or "-", Text(_drops(run)), Text(main_reason(run)))
    out.print(table)
    _show_rest(records, out)


def _show_lines(records: Records, out: "Console") -> None:
    for run in _shown(records):
        version = f", version {run.model_version}" if run.model_version else ""
        out.print(f"{run.period} {run.state.value}", style=STYLES[run.state], end="")
        out.print(f" attempt {_attempt(run)}{version}")
        for line in (_drops(run), main_reason(run)):
            if line:
                out.print(f"  {line}", soft_wrap=False)
    _show_rest(records, out)


def _show_rest(records: Records, out: "Console") -> None:
    hidden = len(records.runs) - len(_shown(records))
    if hidden:
        out.print(f"… and {hidden} earlier runs; --json lists all", style="dim")


def _attempt(run: Run) -> str:
    return f"{run.attempt}/{run.attempts_max}"


def _drops(run: Run) -> str:
    earlier = f" (+{len(run.drops) - 1} earlier)" if len(run.drops) > 1 else ""
    return file_name(run.drop.uri) + earlier


def _events(records: Records) -> Iterator[str]:
    for item in records.happenings:
        if item.outcome == "pending":
            yield f"waiting: {file_name(item.subject) or 'a request for the newest drop'}, recorded {local(item.recorded_at)}"


def _interventions(records: Records) -> Iterator[str]:
    """What waits for the daemon, and the last one when nothing came of it."""
    for each in records.interventions:
        if each.outcome == "pending":
            yield f"waiting: {each.by} asked to {each.words}: {each.reason}, recorded {local(each.at)}"
    last = records.interventions[-1] if records.interventions else None
    if last is not None and last.outcome == "refused":
        yield f"refused: {last.by} asked to {last.words}: {last.why}"


def main_reason(run: Run) -> str:
    """The one sentence that says most about where a run is."""
    if run.ending is RunState.CANCELED:
        return f"to be cancelled: {run.ending_reason}"
    match run.state:
        case RunState.PROMOTED | RunState.REJECTED | RunState.AWAITING_APPROVAL:
            return _judged(run)
        case RunState.QUEUED if run.error:
            return f"again from {local(run.ready_at)}: {run.error}"
        case RunState.QUEUED:
            return "waits for its turn"
        case RunState.RUNNING | RunState.TRAINED:
            return f"since {local(run.updated_at)}"
        case _:
            return _URI_FOLDER.sub("", run.error)


def _judged(run: Run) -> str:
    """What a decision about a run rests on."""
    if run.state is not RunState.AWAITING_APPROVAL and run.error:
        return run.error  # a person's word, or that nobody said one
    if run.decision is None:
        return "its version was made champion by hand"
    return run.decision.main_reason
