"""What runs leave in the process table."""

from collections.abc import Callable
from pathlib import Path

import psutil

from trainer_daemon.adapters.local.orchestrator import LocalOrchestrator
from trainer_daemon.adapters.local.processes import MARKER

Make = Callable[..., LocalOrchestrator]


def alive_in(workspace: Path) -> list[psutil.Process]:
    """Steps of runs in the workspace."""
    return [process for process in psutil.process_iter() if _mark(process).startswith(str(workspace))]


def _mark(process: psutil.Process) -> str:
    try:
        return str(process.environ().get(MARKER, ""))
    except psutil.Error:
        return ""
