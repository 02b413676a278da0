"""Asks services that no loop has had to ask for a while, so that whoever wants to know how they are need not wait for them."""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from trainer_daemon.errors import TrainerError
from trainer_daemon.telemetry.redaction import redacted
from trainer_daemon.telemetry.vitals import Part

FRESH_S = 20.0
"""A part that was heard of since is not asked."""
STALE_S = 120.0
"""An older answer says nothing about now: between the two lies the time for several probes that are slow."""
CLOSE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """How a part is asked.

    Attributes:
        ask: Returns when it answers; has a deadline; raises a TrainerError otherwise.
    """

    part: Part
    ask: Callable[[], None]


class Prober:
    """A thread that asks once at the start, and then only when somebody wants to know.

    Args:
        questions: One for each part that can be asked.
        fresh_s: See `FRESH_S`.
    """

    def __init__(self, questions: list[Question], *, fresh_s: float = FRESH_S) -> None:
        self._questions = questions
        self._fresh_s = fresh_s
        self._wanted = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="probe", daemon=True)

    def start(self) -> None:
        """Ask everything once."""
        self._wanted.set()
        self._thread.start()

    def want(self) -> None:
        """Have what is not fresh asked; returns at once."""
        self._wanted.set()

    def close(self) -> None:
        """End; a question under way ends by its own deadline."""
        self._stopping = True
        self._wanted.set()
        with suppress(RuntimeError):  # it was never started
            self._thread.join(CLOSE_S)

    def _run(self) -> None:
        while self._wanted.wait() and not self._stopping:
            self._wanted.clear()
            for question in self._questions:
                if question.part.age_s > self._fresh_s:
                    _put(question)


def _put(question: Question) -> None:
    try:
        question.ask()
    except TrainerError as exc:
        question.part.failed(redacted(str(exc)))
    else:
        question.part.answered()
