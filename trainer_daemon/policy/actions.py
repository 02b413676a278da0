"""What can be decided: one value per action, carried out by the reconciler. Pure."""

from dataclasses import dataclass
from datetime import datetime

from trainer_daemon.policy.events import DatasetVersion
from trainer_daemon.policy.interventions import Dismiss, Intervene
from trainer_daemon.policy.observations import Champion, Outcome
from trainer_daemon.policy.plan import Enqueue, Revive, Settle
from trainer_daemon.policy.promotion import Decision
from trainer_daemon.policy.runs import Run, RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteChampion:
    """The registry's champion is not the one the ledger knows."""

    champion: Champion | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit:
    """Start the next attempt of a run, pinned to the champion it will be compared with."""

    run: Run
    champion: Champion | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Condemn:
    """An earlier month of a run's window is bad, and no run of its own has found that out; the run is not to blame."""

    run: Run
    drop: DatasetVersion
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Doom:
    """A run on the orchestrator is no longer wanted; written down first, since ending it there can be interrupted."""

    run: Run
    ending: RunState
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """Stop a run that is no longer wanted, on the orchestrator too when it runs there.

    Attributes:
        again: Its own drop is still wanted, with the window as it is now.
        passed_over: Nothing is wrong with it, but newer months go first; whatever began it is passed over with it.
    """

    run: Run
    to: RunState
    why: str
    again: bool = False
    passed_over: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """The run's state moves; nothing but the ledger changes.

    Attributes:
        outcome: What the run left, when it was trained.
        retry_at: When a run that is queued again may start.
        excused: It failed through no fault of its own, so that it costs no attempt.
        is_old: It happened long ago, and only this ledger did not know.
    """

    run: Run
    to: RunState
    why: str
    outcome: Outcome | None = None
    retry_at: datetime | None = None
    next_attempt: bool = False
    excused: bool = False
    is_old: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """The decision on a trained run is made; write it down, with its evidence, before anybody acts on it."""

    run: Run
    decision: Decision
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Promote:
    """Carry a recorded promotion out: compare-and-set the alias.

    Attributes:
        has_moved: The alias is there already; only the rest is to be finished.
        why: What carried it, when it was not the rules alone.
    """

    run: Run
    decision: Decision
    has_moved: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """Carry a recorded rejection out: mark the version.

    Attributes:
        why: What carried it, when it was not the rules.
    """

    run: Run
    decision: Decision
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Nothing to do until something wakes the model, or until the time comes.

    Attributes:
        until: None when only an event can change anything.
        polling: An open run has to be looked at again soon.
        idle: Until then only a person can change anything.
    """

    until: datetime | None = None
    polling: bool = False
    idle: bool = False


Action = (
    Settle
    | Enqueue
    | Revive
    | NoteChampion
    | Intervene
    | Dismiss
    | Submit
    | Condemn
    | Doom
    | End
    | Advance
    | Judge
    | Promote
    | Reject
    | Wait
)
