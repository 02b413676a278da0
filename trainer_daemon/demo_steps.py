"""What the steps of a run say themselves, picked out of the run's log while it grows."""

import re
from collections.abc import Iterator
from pathlib import Path

_KFP_LINE = re.compile(r"\d\d:\d\d:\d\d\.\d{3} - [A-Z]+ - (.*)")
_STEP_BEGINS = "Streamed logs:"
_INDENT = "    "
_EXECUTOR = f"{_INDENT}[KFP Executor"
_TRACEBACK = "Traceback (most recent call last):"


class StepLines:
    """Follows the log of one run.

    Args:
        path: The log; may not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0
        self._inside_step = False
        self._inside_input = False
        self.spoke = False

    def new(self) -> Iterator[str]:
        """The lines that came since the last call."""
        for line in self._complete_lines():
            if self._is_spoken(line):
                self.spoke = True
                yield line.strip()

    def _complete_lines(self) -> list[str]:
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._position)
            complete, newline, _ = file.read().rpartition(b"\n")
        self._position += len(complete) + len(newline)
        return complete.decode("utf-8", errors="replace").splitlines()

    def _is_spoken(self, line: str) -> bool:
        """Steps' lines are indented; left out is what kfp says of itself, the JSON of the input, and tracebacks."""
        if kfp := _KFP_LINE.fullmatch(line):
            self._inside_step = kfp[1] == _STEP_BEGINS
            return False
        if line.rstrip() == _INDENT + "{":
            self._inside_input = True
        if self._inside_input:
            self._inside_input = line.rstrip() != _INDENT + "}"
            return False
        if line.strip() == _TRACEBACK:
            self._inside_step = False
        return self._inside_step and bool(line.strip()) and line.startswith(_INDENT) and not line.startswith(_EXECUTOR)
