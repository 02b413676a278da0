"""Which processes belong to a run, and how they are ended: never by a bare process id, which may be a stranger's by now."""

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

MARKER = "TRAINER_RUN_FOLDER"
"""Environment variable that what a step starts inherits; names are unique per workspace only, so it holds the folder's path.

The environment that others see of a process is the one it was started with, so a step that was forked has not got it. It has a
file of the run open instead that nobody else opens.
"""
_LOOK_AGAIN_S = 0.01


def leader_of(lock: Path, pid: int | None) -> psutil.Process | None:
    """The process that executes a run, if it is alive.

    Args:
        lock: The run's lock file. A process that has it open is the run's; a reused process id has not.
        pid: The process that was given the run.
    """
    if pid is None:
        return None
    try:
        process = psutil.Process(pid)
    except psutil.Error:
        return None
    return process if _has_open(process, lock) else None


def end_steps(folder: Path, mark: Path, *, within_s: float) -> bool:
    """Kill every process that a run without a leader left behind.

    Args:
        folder: The run's folder, as `MARKER` has it.
        mark: The file that forked steps have open.
        within_s: How long to go on.

    Returns:
        Whether none is left.
    """
    deadline = time.monotonic() + within_s
    while steps := _marked(folder, mark):  # again, since a step may have started another while we looked
        if time.monotonic() > deadline:
            return False
        _signal(steps, signal.SIGKILL)
        _wait(steps, within_s=deadline - time.monotonic())
    return True


def end_own_steps(folder: Path, mark: Path, *, grace_s: float) -> None:
    """End the steps of the run that this process leads: asked first, killed after the grace; arguments as of `end_steps`."""
    steps = _marked(folder, mark)
    _signal(steps, signal.SIGTERM)
    _wait(steps, within_s=grace_s)
    end_steps(folder, mark, within_s=grace_s)


def end_group(leader: psutil.Process) -> None:
    """Kill a leader that did not end itself, with everything in its process group."""
    with suppress(ProcessLookupError, psutil.Error):
        if leader.is_running():  # compares the start time: the id is still the same process
            os.killpg(leader.pid, signal.SIGKILL)


def _marked(folder: Path, mark: Path) -> list[psutil.Process]:
    others = (process for process in psutil.process_iter() if process.pid != os.getpid())
    return [process for process in others if _marker(process) == str(folder) or _has_open(process, mark)]


def _marker(process: psutil.Process) -> str:
    try:
        return str(process.environ().get(MARKER, ""))
    except (psutil.Error, OSError):  # another user's, or gone
        return ""


def _has_open(process: psutil.Process, path: Path) -> bool:
    try:
        return any(file.path == str(path) for file in process.open_files())
    except (psutil.Error, OSError):  # another user's, or gone
        return False


def _wait(processes: Iterable[psutil.Process], *, within_s: float) -> list[psutil.Process]:
    """Wait for processes to end; those that do not are returned.

    Not by `psutil.wait_procs`, which waits for zombies too: who reaps them, and when, is not our business.
    """
    deadline = time.monotonic() + within_s
    while (alive := [process for process in processes if _works(process)]) and time.monotonic() < deadline:
        time.sleep(_LOOK_AGAIN_S)
    return alive


def _works(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _signal(processes: Iterable[psutil.Process], number: int) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(number)
