"""What runs leave in the process table."""

from collections.abc import Callable
from pathlib import Path

import psutil

from trainer_daemon.adapters.local.orchestrator import LocalOrchestrator
from trainer_daemon.adapters.local.processes import MARKER

Make = Callable[..., LocalOrchestrator]


def alive_in(workspace: Path) -> list[psutil.Process]:
    """Runs and steps in the workspace, and what they have started."""
    return [process for process in psutil.process_iter() if _is_in(process, str(workspace))]


def _is_in(process: psutil.Process, workspace: str) -> bool:
    try:
        named = [str(process.environ().get(MARKER, "")), *(file.path for file in process.open_files())]
    except psutil.Error:
        return False
    return any(name.startswith(workspace) for name in named)
