"""The processes that execute runs: started, looked at, ended. Everything known of them is in their folders."""

import json
import os
import shutil
import signal
import time
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import psutil

from tests.emulators.kfp.run_files import CACHE, EVENTS, SPEC
from trainer_daemon.adapters.local import processes
from trainer_daemon.adapters.local.run_folder import Result, RunFolder, Work
from trainer_daemon.adapters.local.standby import Standby

_ROOT = Path(__file__).resolve().parents[3]
_END_S = 240.0
_IDLE_S = 30.0
_LOOK_AGAIN_S = 0.01


class Stage(Enum):
    """Where a run without a result is."""

    NEW = "never started"
    RUNNING = "a process executes it"
    GONE = "its process died"


class Executors:
    """One process per run, each leading its own session.

    Args:
        folder: The runs' folders are in here.
    """

    def __init__(self, folder: Path) -> None:
        self._runs = folder.resolve() / "runs"
        # this tree, wherever another one may be installed
        paths = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH", "")]))
        self._standby = Standby(
            os.environ | {"PYTHONPATH": paths}, idle_s=_IDLE_S, is_busy=lambda: False, entry_point="tests.emulators.kfp.executor"
        )

    def start(self, name: str, spec: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
        """Execute a run."""
        folder = self.folder(name)
        lock = folder.claim()
        assert lock is not None, f"run {name} is being executed"
        try:
            (folder.path / EVENTS).touch()
            (folder.path / SPEC).write_text(json.dumps(spec))
            pipeline = spec["pipelineInfo"]["name"]
            folder.prepare(Work(name=name, pipeline=pipeline, compiled=SPEC, parameters=parameters, timeout_s=0.0))
            os.close(self._standby.start(folder, lock))
        finally:
            os.close(lock)

    def look(self, name: str) -> Result | Stage:
        """How a run ended, or where it is."""
        folder = self.folder(name)
        if not folder.was_requested():
            return Stage.NEW
        is_locked = folder.is_locked()  # before the result, which is written under the lock
        return folder.result() or (Stage.RUNNING if is_locked else Stage.GONE)

    def ask_to_end(self, name: str) -> bool:
        """SIGTERM for a run's process, which passes it on to its steps; False when it is not known yet."""
        leader = self._leader(name)
        if leader is not None:
            leader.send_signal(signal.SIGTERM)
        return leader is not None

    def end(self, name: str) -> None:
        """SIGKILL for whatever is left of a run."""
        folder, deadline = self.folder(name), time.monotonic() + _END_S
        while folder.is_locked() and time.monotonic() < deadline:  # its process may have been asked for and not be there yet
            if (leader := self._leader(name)) is not None:
                processes.end_group(leader)
            time.sleep(_LOOK_AGAIN_S)
        if folder.was_requested():
            processes.end_steps(folder.path, folder.mark, within_s=_END_S)

    def forget(self, name: str) -> None:
        """Remove a run's files."""
        shutil.rmtree(self.folder(name).path, ignore_errors=True)

    def end_all(self) -> None:
        """End every run, of this server or an earlier one."""
        self._standby.close()
        for path in self._runs.glob("*"):
            if RunFolder(path).is_locked():
                self.end(path.name)

    def clear(self) -> None:
        """End every run and remove all files; what the next runs need stays imported."""
        for path in self._runs.glob("*"):
            if RunFolder(path).is_locked():
                self.end(path.name)
        for folder in (self._runs, self._runs.with_name(CACHE)):
            shutil.rmtree(folder, ignore_errors=True)

    def folder(self, name: str) -> RunFolder:
        """The files of a run."""
        return RunFolder(self._runs / name)

    def _leader(self, name: str) -> psutil.Process | None:
        folder = self.folder(name)
        return processes.leader_of(folder.lock, folder.pid())
