"""Carrying out checks one after another: each with a deadline, none of them able to stop the others."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from trainer_daemon.errors import ConfigError, TrainerError
from trainer_daemon.policy.checks import Check, Finding, Status, failed, skipped, split_sentence

DEADLINE_S = 10.0
_BLOCKING = frozenset({Status.FAILED, Status.SKIPPED})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Probe:
    """A check that can be carried out.

    Attributes:
        name: What is checked.
        look: Carries it out, on a thread of its own; raises nothing but this project's errors.
        needs: Checks that have to come out well before; without them it is skipped.
        model: Whose it is; empty when it concerns all of them.
        deadline_s: A check that takes longer has failed, and is left behind.
    """

    name: str
    look: Callable[[], Finding]
    needs: tuple["Probe", ...] = ()
    model: str = ""
    deadline_s: float = DEADLINE_S

    @property
    def title(self) -> str:
        """The name as people see it."""
        return f"{self.model}: {self.name}" if self.model else self.name


def examine(probes: Sequence[Probe], *, on_begin: Callable[[Probe], None] = lambda _: None) -> Iterator[Check]:
    """Carry out checks in their order.

    Args:
        probes: Each after those that it needs.
        on_begin: Called before each.
    """
    stuck: dict[Probe, Status] = {}
    for probe in probes:
        on_begin(probe)
        began = time.monotonic()
        obstacle = next((needed for needed in probe.needs if needed in stuck), None)
        finding = _attempt(probe) if obstacle is None else skipped(f"not possible: {obstacle.title} {_told(stuck[obstacle])}")
        if finding.status in _BLOCKING:
            stuck[probe] = finding.status
        yield _check(probe, finding, time.monotonic() - began)


def _told(status: Status) -> str:
    return "failed" if status is Status.FAILED else "was skipped"


def _check(probe: Probe, finding: Finding, seconds: float) -> Check:
    return Check(
        name=probe.name,
        model=probe.model,
        status=finding.status,
        found=finding.found,
        fix=finding.fix,
        seconds=round(seconds, 3),
    )


def _attempt(probe: Probe) -> Finding:
    """The finding; a thread that hangs is left behind, and one that a bug ends has printed its traceback."""
    answers: queue.SimpleQueue[Finding] = queue.SimpleQueue()
    thread = threading.Thread(target=lambda: answers.put(_answer(probe)), name=f"check-{probe.title}", daemon=True)
    thread.start()
    thread.join(probe.deadline_s)
    if not answers.empty():
        return answers.get()
    if thread.is_alive():
        return failed(f"no answer within {probe.deadline_s:g} s", "see that it is up and can be reached from this machine")
    return failed("this check itself is broken", "report the traceback that it printed")


def _answer(probe: Probe) -> Finding:
    try:
        return probe.look()
    except ConfigError as exc:
        return failed(*split_sentence(exc.problems[0]))
    except TrainerError as exc:
        return failed(*split_sentence(str(exc)))
