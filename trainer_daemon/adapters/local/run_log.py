"""What a run prints: kept line by line in its log file, and read for the step and the reason when it fails. No processes."""

import io
import re
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from trainer_daemon.policy.text import plain

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_STEP_STARTED = re.compile(r"Executing task '([^']+)'")
_STEP_FAILED = re.compile(r"Inner task failed: (.+?)\.?$")
_NOT_SPOKEN = re.compile(r"\s*$|-+$|\s*\[KFP Executor |\d\d:\d\d:\d\d\.\d{3} - [A-Z]+ - ")
_SHELL_WORDS = {"Killed": "it was killed, probably because memory ran out", "Terminated": "it was terminated from outside"}
_INPUT = "INFO]: Got executor_input:"
_TRACEBACK = "Traceback (most recent call last):"
_LINES_KEPT = 400
_REASON_MAX = 500


class RunLog(io.TextIOBase):
    """The child's standard output: writes whole lines without colour codes at once and remembers the last of them.

    Args:
        path: The log file; appended to.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("a", encoding="utf-8", errors="backslashreplace", buffering=1)
        self._partial = ""
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._lock = threading.RLock()  # a parallel loop prints from several threads, a signal handler in the middle of a print
        self.step = ""

    def writable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """The log file's descriptor."""
        return self._file.fileno()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def write(self, text: str) -> int:
        """Append; what is not yet a whole line waits for its end."""
        with self._lock:
            *lines, self._partial = (self._partial + text).split("\n")
            for line in lines:
                self._append(_ANSI.sub("", line).rstrip("\r"))
        return len(text)

    def failure(self, error: BaseException) -> str:
        """One sentence about why the run failed.

        Args:
            error: What ended the pipeline.
        """
        with self._lock:
            return failure_reason(_ANSI.sub("", str(error)), type(error).__name__, tuple(self._lines))

    def _append(self, line: str) -> None:
        self._file.write(line + "\n")
        if started := _STEP_STARTED.search(line):
            self.step = started[1]
            self._lines.clear()
        else:
            self._lines.append(line)


class StepReader:
    """Which step a run has begun last, read from its log by another process while it grows; only what is new is read.

    Args:
        path: The log file, which need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0
        self._step = ""

    def step(self) -> str:
        """Its name; empty before the first one."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._position)
                complete, newline, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return ""
        self._position += len(complete) + len(newline)
        started = _STEP_STARTED.findall(complete.decode("utf-8", "replace"))
        self._step = started[-1] if started else self._step
        return self._step


def failure_reason(message: str, kind: str, lines: Sequence[str]) -> str:
    """Say which step failed and why.

    Args:
        message: Of the exception that ended the pipeline.
        kind: Name of its type.
        lines: What the last step printed.
    """
    failed = _STEP_FAILED.search(message)
    if failed is None:
        return f"the pipeline could not be executed: {kind}: {_one_line(message)}"[:_REASON_MAX]
    step = failed[1].replace("'", "")
    return f"step {step} failed: {_last_word(lines)}"[:_REASON_MAX]


def _last_word(lines: Sequence[str]) -> str:
    """The exception that a traceback ends with, or else the last thing the step said itself."""
    starts = [index for index, line in enumerate(lines) if line.strip() == _TRACEBACK]
    if starts:
        indent = len(lines[starts[-1]]) - len(lines[starts[-1]].lstrip())
        for line in lines[starts[-1] + 1 :]:
            if line.strip() and len(line) - len(line.lstrip()) <= indent:
                return _without_module(line.strip())
    spoken = [line.strip() for line in _without_input(lines) if not _NOT_SPOKEN.match(line)]
    if not spoken:
        return "it ended without a message"
    return _SHELL_WORDS.get(spoken[-1], spoken[-1])


def _without_input(lines: Sequence[str]) -> Sequence[str]:
    """Leave out the JSON of the step's input, which kfp prints before the step says anything."""
    for index, line in enumerate(lines):
        if line.endswith(_INPUT) and index + 1 < len(lines):
            end = lines[index + 1].replace("{", "}")  # the closing brace is indented as the opening one
            return lines[lines.index(end) + 1 :] if end in lines else ()
    return lines


def _without_module(line: str) -> str:
    """`pipelines.errors.BadDrop: reason` -> `BadDrop: reason`."""
    return re.sub(r"^(?:\w+\.)+(\w+)", r"\1", line)


def _one_line(text: str) -> str:
    return plain(" ".join(text.split()))
