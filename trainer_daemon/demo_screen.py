"""What a person sees of the demo: lines with the time that has passed, and a sign of life in between."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trainer_daemon.commands.terminal import console
from trainer_daemon.commands.timeline import MARKS, Entry, Tone
from trainer_daemon.policy.promotion import Result

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

SILENCE_S_MAX = 5.0
_STYLES = {Tone.PLAIN: "", Tone.GOOD: "green", Tone.BAD: "red", Tone.WARNING: "yellow"}
_QUIET = (f"{MARKS[Result.PASSED]}: ", f"{MARKS[Result.NOT_APPLICABLE]}: ")
"""Rules that did not decide are left to `explain`."""


class Screen:
    """Standard output: with a line that lives where it is a terminal, with plain lines where it is not.

    Args:
        out: Something else instead of standard output.
    """

    def __init__(self, out: "Console | None" = None) -> None:
        self.out: Console = out or console()
        self._started = time.monotonic()
        self._spoke = self._started
        self._told: set[str] = set()
        self._status: Status | None = None

    def headline(self, text: str) -> None:
        """What is done to the daemon now."""
        self.out.print()
        self.line(text, style="bold")

    def line(self, text: str, *, style: str = "") -> None:
        """One line with the time."""
        self._spoke = time.monotonic()
        self.out.print(f"{self._elapsed()}  {text}", style=style, soft_wrap=True)

    def tell(self, entries: Sequence[Entry]) -> None:
        """What has happened since the last call, in words."""
        for entry in entries:
            if self._is_new(f"{entry.at} {entry.text}"):  # an event is told at once, what becomes of it later
                self.line(f"  {entry.text}", style=_STYLES[entry.tone])
            if self._is_new(entry.id):
                for detail in entry.details:
                    if not detail.startswith(_QUIET):
                        self.line(f"      {detail}", style="dim")

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """A sign of life until the context ends."""
        with self.out.status(what) as status:
            self._status = status if self.out.is_terminal else None
            self._spoke = time.monotonic()
            yield
        self._status = None

    def still(self, what: str) -> None:
        """Say that it still goes on, when nothing was said for a while."""
        if self._status is not None:
            self._status.update(f"{self._elapsed()}  {what}")
        elif time.monotonic() - self._spoke > SILENCE_S_MAX:
            self.line(f"  … {what}", style="dim")

    def _is_new(self, what: str) -> bool:
        new = what not in self._told
        self._told.add(what)
        return new

    def _elapsed(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        return f"{minutes}:{seconds:02}"
