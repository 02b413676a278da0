"""What a person sees while a run is waited for: on standard error, since standard output belongs to the answer."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from trainer_daemon.commands.opening import Session
from trainer_daemon.policy.observations import Observation, Phase
from trainer_daemon.ports import Submission
from trainer_daemon.predicting import Progress

if TYPE_CHECKING:
    from rich.status import Status

SILENCE_S_MAX = 15.0
_TAIL_BYTES = 4096
_SPOKEN = "    "  # how kfp.local prints what a step says


@contextmanager
def showing(session: Session) -> Iterator[Progress]:
    """A line that lives on a terminal, plain lines elsewhere.

    Args:
        session: Knows where the logs of runs are.
    """
    from rich.console import Console

    screen = Console(file=sys.stderr, highlight=False, markup=False, emoji=False)
    with screen.status("looking") as status:
        shown = _Shown(session, status if screen.is_terminal else None)
        yield Progress(on_submitted=shown.submitted, on_look=shown.looked)


class _Shown:
    """What was said last, and when."""

    def __init__(self, session: Session, status: "Status | None") -> None:
        self._session, self._status = session, status
        self._started = self._spoke = time.monotonic()
        self._last = ""

    def submitted(self, name: str, submission: Submission) -> None:
        is_local = self._session.settings.orchestrator.kind == "local"
        place = submission.link or (str(self._session.log_of(name)) if is_local else f"run {submission.run_id}")
        found = "is on its way already, and is followed" if submission.is_adopted else "was begun"
        self._say(f"Run {name} {found}: {place}")

    def looked(self, seen: Observation) -> None:
        said = (seen.phase is Phase.RUNNING and last_words(self._session.log_of(seen.name))) or seen.reason
        line = f"{seen.phase.lower()}{f': {said}' if said else ''}"
        if self._status is not None:
            self._status.update(f"{self._elapsed()}  {line}")
        elif line != self._last or time.monotonic() - self._spoke > SILENCE_S_MAX:
            self._say(f"{self._elapsed()}  {line}")
        self._last = line

    def _say(self, text: str) -> None:
        self._spoke = time.monotonic()
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - what a command line tells besides its answer

    def _elapsed(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        return f"{minutes}:{seconds:02}"


def last_words(log: Path) -> str:
    """The last whole sentence that a step has said into a run's log; empty when there is none yet.

    Args:
        log: The file, which need not exist.
    """
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            *lines, _ = stream.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    spoken = (line.strip() for line in reversed(lines) if line.startswith(_SPOKEN))
    return next((line for line in spoken if line[:1].isalnum() and " " in line), "")
