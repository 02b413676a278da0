"""The recurring runs of Kubeflow Pipelines for people: a table, or lines where the terminal is narrow."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from trainer_daemon.commands.import_schedule import schedule_of
from trainer_daemon.commands.opening import Session
from trainer_daemon.commands.terminal import console
from trainer_daemon.policy.recurring import RecurringRun

if TYPE_CHECKING:
    from rich.console import Console

TABLE_COLUMNS_MIN = 110


def show(runs: Sequence[RecurringRun], session: Session) -> None:
    """Print all of them, and what to do next."""
    out = console()
    if not runs:
        out.print("There are no recurring runs.")
        return
    if out.width < TABLE_COLUMNS_MIN:
        _show_lines(runs, out)
    else:
        _show_table(runs, out)
    out.print(f"One becomes a schedule: {session.command('import-schedule')} ID", soft_wrap=True)


def _show_table(runs: Sequence[RecurringRun], out: "Console") -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=False)
    for name in ("Recurring run", "Id", "Enabled", "When, in UTC", "Pipeline", "Schedule"):
        table.add_column(name, overflow="fold", no_wrap=name == "Id")
    for run in runs:
        table.add_row(*(Text(cell) for cell in _cells(run)))
    out.print(table)


def _show_lines(runs: Sequence[RecurringRun], out: "Console") -> None:
    for run in runs:
        name, id_, enabled, when, pipeline, schedule = _cells(run)
        out.print(f"{name}  {id_}", soft_wrap=True)
        out.print(f"  enabled: {enabled}, when: {when}, pipeline: {pipeline}, schedule: {schedule}")


def _cells(run: RecurringRun) -> tuple[str, ...]:
    schedule, _ = schedule_of(run)
    when = str(run.trigger) if run.trigger else "-"
    return run.name, run.id, "yes" if run.is_enabled else "no", when, run.pipeline or "-", schedule or "none does that"
