"""What a thread is at work on: it stands in every line that the thread logs meanwhile, whoever logs it, libraries included.

It stays until the next work begins, so that what is logged after a failure still says what failed. Only threads that began a
scope have it; a command, or a test, that calls the same code on a thread of its own does not.
"""

from contextvars import ContextVar

from structlog.typing import EventDict, WrappedLogger

from trainer_daemon.policy.events import Event
from trainer_daemon.policy.runs import Run

RUN_KEY = "run_key"
_subject: ContextVar[dict[str, str] | None] = ContextVar("subject", default=None)


def begin_scope() -> None:
    """From now on this thread's lines say what it works on."""
    _subject.set({})


def work_on(*, run: Run | None = None, event: Event | None = None) -> None:
    """The work that begins is about this run, or else about this event, or else about nothing in particular."""
    if _subject.get() is None:
        return
    subject: dict[str, str] = {}
    if run is not None:
        subject = {"run": run.name, RUN_KEY: run.key, "drop": run.drop.ref}
    elif event is not None:
        subject = {"event_id": event.id, **({"drop": event.drop.ref} if event.drop else {})}
    _subject.set(subject)


def with_subject(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A processor: the line's own keys count more."""
    return {**(_subject.get() or {}), **event}


def without_key(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A processor: 64 digits are for machines; people have the run's name."""
    event.pop(RUN_KEY, None)
    return event
