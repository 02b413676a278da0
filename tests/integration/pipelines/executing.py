"""Compiled pipelines, executed as on a laptop: by processes that are forked from one which has imported the libraries."""

import itertools
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.orchestrator_contract import outcome
from trainer_daemon.adapters.local.orchestrator import LocalOrchestrator
from trainer_daemon.policy.observations import Phase
from trainer_daemon.ports import RunRequest


def python(*arguments: str) -> str:
    """Run a Python process to its end and return all it printed."""
    done = subprocess.run(
        [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=800
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A run that is over: all it printed, and the folder of what its steps have written."""

    printed: str
    artifacts: Path


class Runs:
    """Runs of compiled pipelines, one after the other.

    Args:
        workspace: Where their folders are.
        compiled: The folder of compiled pipelines.
    """

    def __init__(self, workspace: Path, compiled: Path) -> None:
        self._workspace = workspace
        self._numbers = itertools.count(1)
        self._orchestrator = LocalOrchestrator(
            workspace=workspace, compiled=lambda name: compiled / f"{name}.yaml", idle_s=3600.0
        )

    def execute(self, pipeline: str, parameters: dict[str, Any], *, fails: bool = False) -> Ran:
        """Run a pipeline to its end, which has to be this one."""
        name = f"run-{next(self._numbers)}"
        self._orchestrator.submit(RunRequest(name=name, pipeline=pipeline, parameters=parameters, timeout_s=600.0))
        seen = outcome(self._orchestrator, name, within_s=800.0)
        folder = self._workspace / "runs" / name
        ran = Ran(printed=(folder / "log.txt").read_text(encoding="utf-8"), artifacts=folder / "artifacts")
        assert seen.phase is (Phase.FAILED if fails else Phase.SUCCEEDED), ran.printed
        return ran

    def close(self) -> None:
        """There are no more."""
        self._orchestrator.close()
