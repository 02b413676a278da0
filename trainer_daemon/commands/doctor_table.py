"""`doctor` for people: a table of all checks, and below it what to do, as lines that can be copied."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from trainer_daemon.commands.terminal import console
from trainer_daemon.policy.checks import Check, Status

if TYPE_CHECKING:
    from rich.console import Console

TABLE_COLUMNS_MIN = 90
STYLES: Mapping[Status, str] = {Status.OK: "green", Status.WARNING: "yellow", Status.FAILED: "red", Status.SKIPPED: "dim"}


def show(checks: Sequence[Check]) -> None:
    """Print everything, what to do last: that is where a terminal ends."""
    out = console()
    if out.width < TABLE_COLUMNS_MIN:
        _show_lines(checks, out)
    else:
        _show_table(checks, out)
    for text, style in advice(checks):
        out.print(text, style=style, soft_wrap=True)
    out.print(summary(checks))


def _show_table(checks: Sequence[Check], out: "Console") -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=False)
    table.add_column("Check", no_wrap=True)
    table.add_column("Status", no_wrap=True)
    table.add_column("Found", overflow="fold", ratio=1)
    for check in checks:
        table.add_row(Text(check.title), Text(check.status.value, style=STYLES[check.status]), Text(check.found))
    out.print(table)


def _show_lines(checks: Sequence[Check], out: "Console") -> None:
    for check in checks:
        out.print(check.status.value, style=STYLES[check.status], end="  ")
        out.print(check.title)
        out.print(f"  {check.found}")


def advice(checks: Sequence[Check]) -> Iterator[tuple[str, str]]:
    """Text and style of the lines that say what to do, what failed first."""
    order = (Status.FAILED, Status.WARNING, Status.SKIPPED)
    concerned = sorted((check for check in checks if check.fix), key=lambda check: order.index(check.status))
    if concerned:
        yield "What to do", "bold"
    for check in concerned:
        yield f"{check.title} ({check.status})", STYLES[check.status]
        yield f"  {check.fix}", ""


def summary(checks: Sequence[Check]) -> str:
    """How many checks came out how."""
    counts = Counter(check.status for check in checks)
    many = f"{len(checks)} check{'s' if len(checks) > 1 else ''}"
    return f"{many}: " + ", ".join(f"{counts[status]} {status}" for status in Status if counts[status])
