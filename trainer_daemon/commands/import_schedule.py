"""`import-schedule`: show the recurring runs of Kubeflow Pipelines, and turn one into the schedule of a model."""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from trainer_daemon.commands.opening import CommandError, Session, open_session
from trainer_daemon.config import ModelSettings
from trainer_daemon.errors import PermanentError
from trainer_daemon.orchestrator_parts import kubeflow_connection
from trainer_daemon.policy.recurring import Converted, RecurringRun, converted
from trainer_daemon.ports import Schedules
from trainer_daemon.telemetry.logging import quiet_log

ALWAYS = 'a recurring run trains each time; to keep that, add on_schedule = "always"'
_SHOWN_MAX = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportWish:
    """What an operator asks for.

    Attributes:
        recurring_run: Its id, the beginning of it, or its name; None for the list of all.
        disable: Whether it is to start nothing any more.
        confirmed: Nobody has to be asked.
    """

    recurring_run: str | None
    disable: bool = False
    confirmed: bool = False


def import_schedule(wish: ImportWish, *, config: Path, model: str | None, as_json: bool) -> None:
    """Print the list, or the lines of the configuration that replace a recurring run; disable it when that is asked for.

    Raises:
        typer.BadParameter: The wish makes no sense.
        CommandError: There is no such recurring run, or no schedule does what it does.
        TrainerError: The server does not answer, or refuses.
    """
    _check(wish, as_json=as_json)
    session = open_session(config)
    with closing(_open(session)) as schedules:
        runs = schedules.recurring_runs()
        if wish.recurring_run is None:
            _show_all(runs, session, as_json=as_json)
            return
        settings = session.model(session.one_model(model))
        run = choose(wish.recurring_run, runs)
        made = _convert(run, session)
        if not as_json:
            print("\n".join(lines(run, made, settings)))  # noqa: T201 - the answer
        if wish.disable:
            _disable(run, schedules, confirmed=wish.confirmed)
        if as_json:
            print(json.dumps(_imported(run, made, settings, disabled=wish.disable), ensure_ascii=False, indent=2))  # noqa: T201 - as above
        else:
            print(f"# {_ending(run, session, disabled=wish.disable)}")  # noqa: T201 - as above


def _check(wish: ImportWish, *, as_json: bool) -> None:
    if wish.disable and wish.recurring_run is None:
        msg = "name the recurring run that is to be disabled"
        raise typer.BadParameter(msg, param_hint="--disable")
    if wish.disable and as_json and not wish.confirmed:
        msg = "nobody is asked when a program reads the answer: add --yes"
        raise typer.BadParameter(msg, param_hint="--disable")


def choose(word: str, runs: Sequence[RecurringRun]) -> RecurringRun:
    """The one recurring run that is meant.

    Raises:
        CommandError: There is none, or there are several.
    """
    named = [run for run in runs if word in {run.id, run.name}]
    found = named or [run for run in runs if run.id.startswith(word)]
    if len(found) == 1:
        return found[0]
    if found:
        msg = f"{word} is more than one recurring run; name one of {_named(found)} by its id"
        raise CommandError(msg)
    msg = f"there is no recurring run {word}; " + (f"there are {_named(runs)}" if runs else "the server has none at all")
    raise CommandError(msg)


def lines(run: RecurringRun, made: Converted, settings: ModelSettings) -> Iterator[str]:
    """What goes into the model's section: two keys, and what is to be known of them as comments."""
    yield f"# {run.name} ({run.trigger}), for model {settings.name}"
    yield from (f"# {note}" for note in _notes(made, settings))
    yield f"schedule = {json.dumps(made.schedule)}"
    yield f"timezone = {json.dumps(made.timezone)}"


def _notes(made: Converted, settings: ModelSettings) -> Iterator[str]:
    yield from made.notes
    if settings.schedule:
        yield f'takes the place of schedule = "{settings.schedule}" in {settings.timezone}'
    if settings.on_schedule != "always":
        yield ALWAYS


def _open(session: Session) -> Schedules:
    kind = session.settings.orchestrator.kind
    if kind != "kubeflow":
        msg = f'orchestrator.kind is "{kind}", which has no recurring runs; it has to be "kubeflow"'
        raise CommandError(msg)
    from trainer_daemon.adapters.kubeflow import KubeflowApi

    return KubeflowApi(kubeflow_connection(session.settings.orchestrator), log=quiet_log())


def _convert(run: RecurringRun, session: Session) -> Converted:
    try:
        return converted(run)
    except ValueError as exc:
        link = session.settings.orchestrator.recurring_run_link(run.id)
        msg = f"recurring run {run.name} cannot become a schedule, {exc}{f'; it is at {link}' if link else ''}"
        raise CommandError(msg) from exc


def _disable(run: RecurringRun, schedules: Schedules, *, confirmed: bool) -> None:
    """Ask first, on standard error, so that what is printed can go into a file."""
    if not run.is_enabled:
        return
    if not confirmed:
        typer.confirm(f"Disable recurring run {run.name} ({run.id}) on the server?", abort=True, err=True)
    try:
        schedules.disable_recurring_run(run.id)
    except PermanentError as exc:
        msg = f"recurring run {run.name} is still enabled: {exc}"
        raise CommandError(msg) from exc


def _ending(run: RecurringRun, session: Session, *, disabled: bool) -> str:
    put = f"put these lines into the model's section of {session.config} and restart the daemon"
    if disabled or not run.is_enabled:
        return f"recurring run {run.name} is disabled; {put}"
    return f"{put}; {run.name} is still enabled: `{session.command('import-schedule', run.id, '--disable')}`"


def _show_all(runs: Sequence[RecurringRun], session: Session, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"recurring_runs": [_listed(run, session) for run in runs]}, ensure_ascii=False, indent=2))  # noqa: T201 - the answer
        return
    from trainer_daemon.commands.recurring_table import show

    show(runs, session)


def _listed(run: RecurringRun, session: Session) -> dict[str, Any]:
    """The JSON of one; its shape is a contract."""
    schedule, obstacle = schedule_of(run)
    return {
        "id": run.id,
        "name": run.name,
        "enabled": run.is_enabled,
        "trigger": str(run.trigger) if run.trigger else None,
        "pipeline": run.pipeline or None,
        "schedule": schedule or None,
        "obstacle": obstacle or None,
        "link": session.settings.orchestrator.recurring_run_link(run.id) or None,
    }


def schedule_of(run: RecurringRun) -> tuple[str, str]:
    """The schedule that replaces it, or why there is none; the other one is empty."""
    try:
        return converted(run).schedule, ""
    except ValueError as exc:
        return "", str(exc)


def _imported(run: RecurringRun, made: Converted, settings: ModelSettings, *, disabled: bool) -> dict[str, Any]:
    """The JSON of `import-schedule ID --json`; its shape is a contract."""
    return {
        "id": run.id,
        "name": run.name,
        "enabled": run.is_enabled and not disabled,
        "trigger": str(run.trigger),
        "model": settings.name,
        "schedule": made.schedule,
        "timezone": made.timezone,
        "notes": list(_notes(made, settings)),
    }


def _named(runs: Sequence[RecurringRun]) -> str:
    shown = ", ".join(f"{run.name} ({run.id})" for run in runs[:_SHOWN_MAX])
    more = len(runs) - _SHOWN_MAX
    return f"{shown} and {more} more" if more > 0 else shown
