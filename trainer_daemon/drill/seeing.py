"""What the drill sees of its workspace: ledger, registry, the runs that were executed, processes that are left."""

import json
import os
from collections.abc import Hashable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import psutil

from trainer_daemon.adapters.ledger.history import open_history
from trainer_daemon.adapters.local.processes import MARKER
from trainer_daemon.adapters.local.run_folder import RunFolder
from trainer_daemon.adapters.registry.process import Worker
from trainer_daemon.commands.opening import Session
from trainer_daemon.commands.records import Course, Records, read_course, read_records
from trainer_daemon.demo_stage import Stage
from trainer_daemon.policy.promises import Seen, Upload
from trainer_daemon.policy.runs import Run

_IDLE_S = 60.0
_CALL_S = 300.0
"""Of a machine that is busy with the drill itself."""
_MARKS = frozenset({"lock", "steps"})
"""The files of a run that its process, or a step, has open, and nobody else."""
_UNFORESEEN = frozenset({"reconcile_crashed"})


class Views:
    """Looks at one stage; use as a context manager, since looking at MLflow takes a process.

    Args:
        stage: The drill's.
        session: With the drill's own settings.
        model: The one that is drilled.
    """

    def __init__(self, stage: Stage, session: Session, model: str) -> None:
        self._stage = stage
        self._session = session
        self.model = model
        self._registry = Worker(tracking_uri=session.settings.mlflow.tracking_uri, call_timeout_s=_CALL_S, idle_s=_IDLE_S)

    def close(self) -> None:
        """End the process that looks at MLflow."""
        self._registry.close()

    def records(self) -> Records:
        """The ledger as it is now."""
        history = open_history(self._session.settings.ledger)
        if history is None:
            return Records(model=self.model)
        with closing(history):
            return read_records(history, self.model)

    def course(self) -> Course:
        """What happened to all runs."""
        history = open_history(self._session.settings.ledger)
        if history is None:
            return Course()
        with closing(history):
            return read_course(history, history.runs(self.model))

    def progress(self) -> Hashable:
        """Differs after anything that a run's way to its end is made of: an event, a change of its state, words of its steps.

        What is tried again and again without success is no part of it, so that this stops to differ in the end.
        """
        records = self.records()
        states = tuple((run.key, run.state, run.attempt) for run in records.runs)
        words = sum(folder.log.stat().st_size for folder in self._run_folders() if folder.log.exists())
        return len(records.happenings), states, words

    def has_spoken(self, run: Run) -> bool:
        """Whether a process of the run has written into its log."""
        log = RunFolder(self._session.settings.workspace / "runs" / run.name).log
        return log.exists() and log.stat().st_size > 0

    def champion(self) -> str:
        """The version that the alias points to, or ''."""
        found = self._registry.call("champion", model=self.model)["champion"]
        return str(found["version"]) if found else ""

    def versions(self, records: Records) -> dict[str, list[str]]:
        """Registered versions by run key."""
        keys = (run.key for run in records.runs)
        return {key: self._registry.call("outcome", model=self.model, run_key=key)["versions"] for key in keys}

    def move_alias(self, version: str, expected: str) -> None:
        """As somebody does who uses MLflow by hand, beside the daemon."""
        self._registry.call("promote", model=self.model, version=version, expected=expected)

    def seen(self, uploads: Sequence[Upload]) -> Seen:
        """Everything, after the daemon was stopped."""
        records = self.records()
        return Seen(
            uploads=uploads,
            runs=records.runs,
            pending=sum(item.outcome == "pending" for item in records.happenings),
            executed=[folder.name for folder in self._run_folders() if folder.was_requested()],
            versions=self.versions(records),
            champion=self.champion(),
            known_champion=records.champion.version if records.champion else "",
            processes=[*self._live_runs(), *(" ".join(process.cmdline()) for process in processes_of(self._stage.folder))],
            crashes=[f"{line['message']}: {line.get('exception', '')[-200:]}" for line in self._lines(_UNFORESEEN)],
        )

    def told(self, message: str) -> int:
        """How often the daemon has logged something."""
        return sum(1 for _ in self._lines(frozenset({message})))

    def _run_folders(self) -> list[RunFolder]:
        return [RunFolder(path) for path in (self._session.settings.workspace / "runs").glob("*")]

    def _live_runs(self) -> list[str]:
        return [f"the process of run {folder.name}" for folder in self._run_folders() if folder.is_locked()]

    def _lines(self, messages: frozenset[str]) -> Iterator[dict[str, str]]:
        for line in self._stage.daemon_log.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                document = json.loads(line)
            except ValueError:  # a kill may cut a line
                continue
            if document.get("message") in messages:
                yield document


def processes_of(folder: Path) -> list[psutil.Process]:
    """What was started for a folder and still works: the daemon by its command line, runs and steps by their marks."""
    others = (process for process in psutil.process_iter() if process.pid != os.getpid())
    return [process for process in others if _belongs(process, f"{folder}/")]


def _belongs(process: psutil.Process, folder: str) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        words = process.cmdline()
        is_daemon = "trainer_daemon" in words and any(word.startswith(folder) for word in words)
        return is_daemon or process.environ().get(MARKER, "").startswith(folder) or _has_open_run(process, folder)
    except (psutil.Error, OSError):
        return False


def _has_open_run(process: psutil.Process, folder: str) -> bool:
    """What was forked has no environment of its own that others see, but has a file of its run open that nobody else opens."""
    paths = (Path(file.path) for file in process.open_files() if file.path.startswith(folder))
    return any(path.parents[1].name == "runs" and path.name in _MARKS for path in paths)
