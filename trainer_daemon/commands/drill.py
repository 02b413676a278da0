"""`drill`: the user's configuration, on a throw-away workspace, through kills and faults; a report of what held."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_daemon.commands.opening import Session, isolated_session, open_session
from trainer_daemon.commands.terminal import console
from trainer_daemon.demo_screen import Screen
from trainer_daemon.demo_stage import orderly_end, prepare, undisturbed
from trainer_daemon.drill.faults import Fault, drill
from trainer_daemon.drill.play import Play
from trainer_daemon.drill.seeing import Views
from trainer_daemon.drill.stage import REPLACED, configuration, drops_of
from trainer_daemon.policy.promises import Finding, Verdict, promises

if TYPE_CHECKING:
    from rich.console import Console

STYLES = {Verdict.HELD: "green", Verdict.BROKEN: "red", Verdict.SKIPPED: "dim"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillWish:
    """What is asked for.

    Attributes:
        faults: Which; in their own order.
        folder: Where the workspace is made and left; None for a temporary one.
        timeout_s: How long nothing may happen while something of a fault is waited for.
    """

    faults: Sequence[Fault]
    folder: Path | None = None
    timeout_s: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of a drill; promises concern all faults together.

    Attributes:
        drops: Where they came from, in words.
        folder: The workspace, None when it was removed.
    """

    model: str
    drops: str
    folder: Path | None
    faults: tuple[Finding, ...]
    promises: tuple[Finding, ...]

    @property
    def held(self) -> bool:
        """Whether nothing was broken."""
        return all(finding.verdict is not Verdict.BROKEN for finding in (*self.faults, *self.promises))


def run_drill(wish: DrillWish, *, config: Path, model: str | None, as_json: bool) -> bool:
    """Drill and print.

    Args:
        wish: What is asked for.
        config: The configuration file; what it names outside of itself is not touched.
        model: Which one, when there are several.
        as_json: For programs instead of people.

    Returns:
        Whether everything held.

    Raises:
        ConfigError: The configuration is wrong.
        TrainerError: The stage cannot be made.
    """
    session = open_session(config)
    screen = Screen(_watcher(as_json=as_json))
    report = _drilled(session, wish, session.one_model(model), screen)
    if wish.folder is None and report.held:
        shutil.rmtree(report.folder or "", ignore_errors=True)
        report = replace(report, folder=None)
    if as_json:
        print(json.dumps(document(report), ensure_ascii=False, indent=2))  # noqa: T201 - the answer
    else:
        _show(report, screen.out)
    return report.held


def document(report: Report) -> dict[str, Any]:
    """The JSON of `drill --json`; its shape is a contract."""
    return {
        "ok": report.held,
        "model": report.model,
        "drops": report.drops,
        "workspace": str(report.folder) if report.folder else None,
        "faults": [_finding(finding) for finding in report.faults],
        "promises": [_finding(finding) for finding in report.promises],
    }


def _finding(finding: Finding) -> dict[str, str]:
    return {"name": finding.name, "verdict": finding.verdict.value, "seen": finding.seen}


def _drilled(session: Session, wish: DrillWish, name: str, screen: Screen) -> Report:
    settings = session.model(name)
    drops = drops_of(settings)
    folder = wish.folder.absolute() if wish.folder else Path(tempfile.mkdtemp(prefix="trainer-drill-"))
    if wish.folder is None:
        folder.rmdir()  # `prepare` makes it
    stage = prepare(folder, configuration(session.settings, settings, drops))
    screen.line(f"Model {name} of {session.config}, with {drops.source}; {', '.join(REPLACED)} are the drill's own: {folder}")
    with orderly_end(), closing(Views(stage, isolated_session(stage.config), name)) as views:
        play = Play(stage=stage, model=settings, drops=drops, views=views, screen=screen, timeout_s=wish.timeout_s)
        try:
            faults = tuple(_faults(wish.faults, play))
            screen.headline("The daemon is stopped; what is left is looked at.")
            play.stop_daemon()
            kept = promises(views.seen(play.uploads))
        finally:
            with undisturbed():
                play.end()
    return Report(model=name, drops=drops.source, folder=folder, faults=faults, promises=kept)


def _faults(wanted: Sequence[Fault], play: Play) -> Iterator[Finding]:
    """One after another; what comes after a broken one would wait in vain."""
    broken = ""
    for fault in Fault:
        if fault not in wanted:
            continue
        if broken:
            yield Finding(name=fault.value, verdict=Verdict.SKIPPED, seen=f"not tried, since {broken} broke something")
            continue
        finding = drill(fault, play)
        play.screen.line(f"  {finding.verdict}: {finding.seen}", style=STYLES[finding.verdict])
        broken = fault.value if finding.verdict is Verdict.BROKEN else ""
        yield finding


def _watcher(*, as_json: bool) -> "Console":
    """Progress is for people: beside JSON it goes to standard error."""
    if not as_json:
        return console()
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def _show(report: Report, out: "Console") -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="What was done, and what held", title_justify="left")
    table.add_column("Fault or promise", no_wrap=True)
    table.add_column("Verdict", no_wrap=True)
    table.add_column("Seen", overflow="fold", ratio=1)
    for finding in report.faults:
        table.add_row(finding.name, Text(finding.verdict.value, style=STYLES[finding.verdict]), finding.seen)
    table.add_section()
    for finding in report.promises:
        table.add_row(finding.name, Text(finding.verdict.value, style=STYLES[finding.verdict]), finding.seen)
    out.print()
    out.print(table)
    if report.folder is not None:
        out.print(f"The workspace is left to look at: {report.folder}", soft_wrap=True)
    out.print("Everything held." if report.held else "Not everything held.", style="bold green" if report.held else "bold red")
