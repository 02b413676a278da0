"""What a service says of runs, as values: states in the words of this project, and which step failed. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar

from trainer_daemon.policy.observations import Observation, Phase
from trainer_daemon.policy.text import plain

TERMINAL = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELED})
_WORKING = frozenset({"FAILED", "CANCELED", "CANCELLED", "CANCELING", "CANCELLING", "CANCEL_PENDING", "RUNNING"})
_NAMELESS = frozenset({"executor", "retry"})
"""Nodes that a backend puts below a step's own."""
_NAMELESS_MAX = 10
"""More of them one below the other are no step's: they may go round in a circle."""
_ROOT = "root"
_MESSAGE_MAX = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One node of a run: a step, a group of steps, or something the backend made for one.

    Attributes:
        error: The backend's words on it; the step's own are rarely among them.
        children: Ids of the nodes below it.
    """

    id: str
    name: str
    state: str
    error: str = ""
    parent: str = ""
    children: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteRun:
    """One run as a service shows it; each kind of service says what its states mean.

    Attributes:
        finished_at: None while it goes on.
        error: What the backend says of the run as a whole.
        tasks: Its nodes; empty when the answer left them out.
        changed_at: When anything in it last changed, where the service tells that beside the tasks.
    """

    PHASES: ClassVar[Mapping[str, Phase]] = {}
    ENDING: ClassVar[str] = ""

    id: str
    name: str
    state: str
    created_at: datetime
    finished_at: datetime | None = None
    error: str = ""
    tasks: tuple[Task, ...] = ()
    changed_at: datetime | None = None

    @property
    def phase(self) -> Phase:
        """Its state in the words of this project."""
        return self.PHASES.get(self.state, Phase.UNKNOWN)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen in it."""
        return self.phase in TERMINAL

    @property
    def is_ending(self) -> bool:
        """Whether it is over or was told to end."""
        return self.is_over or self.state == self.ENDING

    @property
    def progress(self) -> object:
        """What tells that it goes on, besides its own state."""
        return self.changed_at, tuple((task.id, task.state) for task in self.tasks)


def is_overdue(run: RemoteRun, timeout_s: float, now: datetime) -> bool:
    """Whether a run has taken longer than it may."""
    return (run.finished_at or now) - run.created_at >= timedelta(seconds=timeout_s)


def observation_of(run: RemoteRun, *, timeout_s: float, link: str) -> Observation:
    """What the daemon is told.

    A run that was ended after its time was ended because of it: so a restart in between changes nothing.

    Args:
        run: With its tasks when it failed or was cancelled.
        timeout_s: How long it might take.
        link: Its page in the user interface; empty when that is not known.
    """
    seen = Observation(name=run.name, phase=run.phase, run_id=run.id)
    match run.phase:
        case Phase.UNKNOWN:
            return replace(seen, reason=one_line(run.state))
        case Phase.RUNNING:
            return replace(seen, step=one_line(_at_work(run)))
        case Phase.FAILED:
            return replace(seen, reason=_linked(failure(run), link))
        case Phase.CANCELED if run.finished_at and is_overdue(run, timeout_s, run.finished_at):
            return replace(seen, phase=Phase.FAILED, reason=_linked(f"timed out after {timeout_s:g} s{_where(run)}", link))
        case _:
            return seen


def failure(run: RemoteRun) -> str:
    """Which step failed, and what the backend says of it."""
    if run.state == "SKIPPED":
        return "the orchestrator skipped the run: none of its steps was executed"
    failed = [task for task in run.tasks if task.state == "FAILED"]
    leaf = _leaf(failed)
    if leaf is None:
        return f"the run failed: {one_line(run.error)}" if run.error else "the run failed before any of its steps began"
    message = leaf.error or next((task.error for task in failed if task.error), run.error)
    name = one_line(_step_name(leaf, run.tasks))
    return f"step {name} failed: {one_line(message)}" if message else f"step {name} failed"


def one_line(message: str) -> str:
    """A service's words on one line of a bounded length."""
    text = plain(" ".join(message.split()))
    return text if len(text) <= _MESSAGE_MAX else f"{text[:_MESSAGE_MAX]}…"


def _at_work(run: RemoteRun) -> str:
    leaf = _leaf([task for task in run.tasks if task.state == "RUNNING"])
    return _step_name(leaf, run.tasks) if leaf and leaf.name not in {_ROOT, run.id, run.name} else ""


def _where(run: RemoteRun) -> str:
    leaf = _leaf([task for task in run.tasks if task.state in _WORKING])
    return f" in step {one_line(_step_name(leaf, run.tasks))}" if leaf else ""


def _leaf(tasks: Sequence[Task]) -> Task | None:
    """The first of the tasks that has none of the others below it: groups fail because their members do."""
    above = {task.parent for task in tasks}
    ids = {task.id for task in tasks}
    return next((task for task in tasks if task.id not in above and not ids.intersection(task.children)), None)


def _step_name(task: Task, tasks: Sequence[Task]) -> str:
    """The name that the pipeline's author knows."""
    for _ in range(_NAMELESS_MAX):
        if task.name not in _NAMELESS and not task.name.startswith("executor("):
            return task.name.removesuffix("-driver")
        parent = next((other for other in tasks if task.id in other.children or other.id == task.parent), None)
        if parent is None:
            break
        task = parent
    return task.name


def _linked(reason: str, link: str) -> str:
    return f"{reason}; see {link}" if link else reason
