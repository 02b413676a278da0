"""One run is one folder: its claim, its lock, its result and its artifacts. Only files here, no processes."""

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer_daemon.policy.observations import Phase

KEPT_ARTIFACTS = 20
"""Of so many runs the artifacts are kept; logs, requests and results are kept of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a run ended; `phase` is a terminal one."""

    phase: Phase
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the child that executes a run has to know.

    Attributes:
        compiled: Path of the compiled pipeline.
        parameters: Root parameters, declared by the pipeline or not; JSON values.
    """

    name: str
    pipeline: str
    compiled: str
    parameters: Mapping[str, Any]
    timeout_s: float


class RunFolder:
    """The files of one run.

    Args:
        path: `<workspace>/runs/<name>`, absolute; need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = path / "log.txt"
        self.lock = path / "lock"
        self.artifacts = path / "artifacts"
        self.scratch = path / "tmp"
        self.mark = path / "steps"
        self._request = path / "request.json"
        self._result = path / "result.json"
        self._pid = path / "pid"

    @property
    def name(self) -> str:
        """The run's name."""
        return self.path.name

    def claim(self) -> int | None:
        """Take the run's lock, making the folder if need be.

        Returns:
            A file descriptor that holds the lock until it and all its duplicates are closed, None when somebody else holds it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if _flock(descriptor, fcntl.LOCK_EX):
            return descriptor
        os.close(descriptor)
        return None

    def is_locked(self) -> bool:
        """Whether a process holds the run's lock; the look itself takes a shared lock for an instant."""
        try:
            descriptor = os.open(self.lock, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return not _flock(descriptor, fcntl.LOCK_SH)
        finally:
            os.close(descriptor)

    def was_requested(self) -> bool:
        """Whether this run was ever started."""
        return self._request.exists()

    def prepare(self, work: Work) -> None:
        """Write down what is to be executed and remove what an earlier, killed execution left; the log goes on."""
        shutil.rmtree(self.artifacts, ignore_errors=True)
        shutil.rmtree(self.scratch, ignore_errors=True)
        self._pid.unlink(missing_ok=True)
        fields = {name: getattr(work, name) for name in Work.__slots__}
        _write_atomically(self._request, json.dumps(fields, ensure_ascii=False, indent=1), durably=False)

    def work(self) -> Work:
        """What `prepare` wrote."""
        return Work(**json.loads(self._request.read_text(encoding="utf-8")))

    def compiled(self) -> str:
        """Text of the compiled pipeline; empty when it cannot be read, of which executing it will tell."""
        try:
            return (self.path / self.work().compiled).read_text(encoding="utf-8")
        except (OSError, ValueError):
            return ""

    def result(self) -> Result | None:
        """How the run ended, None while it has not."""
        try:
            document = json.loads(self._result.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return Result(phase=Phase(document["phase"]), reason=document["reason"])

    def conclude(self, result: Result) -> None:
        """Write how the run ended; the caller holds the lock."""
        _write_atomically(self._result, json.dumps({"phase": result.phase.value, "reason": result.reason}, ensure_ascii=False))

    def record_pid(self, pid: int) -> None:
        """Write which process was given the run; to be believed only when that process has the lock file open."""
        _write_atomically(self._pid, str(pid), durably=False)

    def pid(self) -> int | None:
        """What `record_pid` wrote."""
        try:
            return int(self._pid.read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return None


def prune_artifacts(runs: Path, keep: int = KEPT_ARTIFACTS) -> None:
    """Remove the artifacts of all but the newest ended runs.

    Args:
        runs: The folder that holds the run folders.
        keep: How many runs keep theirs.
    """
    ended = [folder for folder in map(RunFolder, runs.iterdir()) if folder.artifacts.is_dir() and not folder.is_locked()]
    by_age = sorted(ended, key=_age_ns, reverse=True)
    for folder in by_age[keep:]:
        with _claimed(folder) as mine:
            if mine:
                shutil.rmtree(folder.artifacts, ignore_errors=True)


def _age_ns(folder: RunFolder) -> int:
    try:
        return folder.artifacts.stat().st_mtime_ns
    except FileNotFoundError:  # another run prunes at the same time
        return 0


@contextmanager
def _claimed(folder: RunFolder) -> Iterator[bool]:
    """Hold the lock if it is free, so that a run that starts again keeps what it writes."""
    descriptor = folder.claim()
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _flock(descriptor: int, mode: int) -> bool:
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_atomically(path: Path, text: str, *, durably: bool = True) -> None:
    """Replace the file so that a reader sees the old or the new text.

    Args:
        path: Of the file.
        text: What it is to hold.
        durably: Also after a power cut; what only matters while a process lives, which no power cut leaves, need not be.
    """
    descriptor, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            if durably:
                os.fsync(stream.fileno())
        Path(scratch).replace(path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise
