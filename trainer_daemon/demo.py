"""The demo: a quarter's drops arrive one after another, among them everything that goes wrong in real life."""

import random
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from trainer_daemon.commands.opening import Session, isolated_session
from trainer_daemon.commands.records import Records
from trainer_daemon.demo_data import DRIFT, monthly_drop
from trainer_daemon.demo_screen import Screen
from trainer_daemon.demo_stage import Daemon, Stage, orderly_end, prepare, running
from trainer_daemon.demo_summary import show_summary
from trainer_daemon.demo_watch import Watcher
from trainer_daemon.policy.runs import RunState

_SEED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Play:
    """What every scene needs."""

    stage: Stage
    screen: Screen
    watcher: Watcher

    def arrives(self, period: str, text: str, what: str) -> None:
        """A file is uploaded."""
        name = f"churn_data_{period.replace('-', '_')}.csv"
        self.screen.headline(f"{name}: {what}")
        self.stage.upload(name, text)


def demo(folder: Path) -> None:
    """Play all scenes with a real daemon, show what came of them, and leave the folder to look at.

    Args:
        folder: Made anew; a folder that the demo did not make is left alone.

    Raises:
        DemoError: Something did not happen as it should.
    """
    screen = Screen()
    stage = prepare(folder)
    session = isolated_session(stage.config)
    screen.line(f"A daemon watches {stage.drops}, one model, nothing known yet. Its log: {stage.daemon_log}")
    with orderly_end(), running(stage) as daemon, _watching(session, screen, daemon) as watcher:
        for scene in (_first_month, _same_bytes, _cut_off, _corrected, _replaced, _noise):
            scene(_Play(stage=stage, screen=screen, watcher=watcher))
        watcher.look()
        screen.headline("The daemon is stopped (SIGTERM).")
        daemon.stop()
        show_summary(watcher.look(), watcher.course(), screen.out)
    _show_next(session, screen)


# scenes


def _first_month(play: _Play) -> None:
    play.screen.line("MLflow makes its database first, which takes a while.")
    play.arrives("2025-03", _month("2025-03"), "the first month, 1,000 customers, 25 % of them leave")
    play.watcher.until_run("2025-03", RunState.PROMOTED)


def _same_bytes(play: _Play) -> None:
    play.arrives("2025-03", _month("2025-03"), "somebody uploads the same file once more")
    play.watcher.until(_duplicated, "the repeated upload to be recognised")


def _cut_off(play: _Play) -> None:
    text = _month("2025-05")
    cut = text.index(",", len(text) // 2)
    play.arrives("2025-05", text[:cut], "two months later; the upload broke off in the middle of a line")
    play.watcher.until_run("2025-05", RunState.QUARANTINED)


def _corrected(play: _Play) -> None:
    play.arrives("2025-05", _month("2025-05"), "the complete file under the same name, now 53 % leave")
    play.watcher.until_run("2025-05", RunState.PROMOTED, nth=2)


def _replaced(play: _Play) -> None:
    play.arrives("2025-06", _month("2025-06", seed=_SEED + 1), "the next month, now 78 % leave")
    play.watcher.until_step("2025-06")
    play.arrives("2025-06", _month("2025-06"), "corrected while its run is still under way")
    play.watcher.until_run("2025-06", RunState.PROMOTED, nth=2)


def _noise(play: _Play) -> None:
    play.arrives("2025-07", _shuffled(_month("2025-06", seed=_SEED + 2)), "a month whose labels were mixed up")
    play.watcher.until_run("2025-07", RunState.REJECTED)


def _month(period: str, *, seed: int = _SEED) -> str:
    return monthly_drop(drift=DRIFT[period], seed=seed)


def _shuffled(text: str) -> str:
    """The same customers and labels, but not each with their own: there is nothing to learn."""
    header, *rows = text.splitlines()
    customers = [row.rpartition(",")[0] for row in rows]
    labels = [row.rpartition(",")[2] for row in rows]
    random.Random(_SEED).shuffle(labels)  # noqa: S311 - generated data, no secrets
    return "\n".join([header, *(f"{customer},{label}" for customer, label in zip(customers, labels, strict=True))]) + "\n"


def _duplicated(records: Records) -> bool:
    return any(item.outcome == "duplicated" for item in records.happenings)


# frame


@contextmanager
def _watching(session: Session, screen: Screen, daemon: Daemon) -> Iterator[Watcher]:
    """Whatever ends the demo, nothing that it started goes on."""
    with Watcher(session, screen, daemon) as watcher:
        try:
            yield watcher
        finally:
            if daemon.is_alive():
                watcher.end_open_runs()


def _show_next(session: Session, screen: Screen) -> None:
    bin_ = _shortest(Path(sys.executable).parent)
    config = ["-c", str(session.config)]
    screen.out.print("\nLook further:", style="bold")
    database = _shortest(session.settings.workspace / "mlflow.db")
    for words, what in (
        ([f"{bin_}/trainer-daemon", "status", *config], "where everything stands"),
        ([f"{bin_}/trainer-daemon", "explain", "churn_data_2025_06.csv", *config], "the story of a drop, rule by rule"),
        ([f"{bin_}/trainer-daemon", "run", *config], "the daemon again; put files of your own into the folder"),
        (
            [f"{bin_}/mlflow", "ui", "--backend-store-uri", f"sqlite:///{database}"],
            "models, metrics and reports in MLflow",
        ),
    ):
        screen.out.print(f"  {shlex.join(words)}", soft_wrap=True)
        screen.out.print(f"      {what}", style="dim")


def _shortest(path: Path) -> Path:
    """As seen from here, when it is below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
