"""What an event asks for: a new run, an old one again, or nothing. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from trainer_daemon.policy.events import DatasetVersion, Event, EventKind
from trainer_daemon.policy.promotion import PromotionPolicy
from trainer_daemon.policy.runs import LIVE, Run, RunState, run_key


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPolicy:
    """How one model is trained, as far as decisions depend on it.

    Attributes:
        parameters: What a run's outcome depends on besides its drops and code; part of the run key.
        backlog: `every` waiting drop is trained, or only the `newest`.
        retry_backoff_s: Before the second attempt; doubles with every further one.
    """

    name: str
    promotion: PromotionPolicy = field(default_factory=PromotionPolicy)
    pipeline_digest: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict)
    window_months: int = 1
    backlog: str = "every"
    attempts_max: int = 3
    retry_backoff_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """The run that an event would start.

    Attributes:
        drops: Oldest first; empty when the event is about no known drop.
    """

    drops: tuple[DatasetVersion, ...]
    key: str

    @property
    def drop(self) -> DatasetVersion:
        """The drop the run would be for."""
        return self.drops[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """An event that nobody has acted on yet, with what the ledger knows around it.

    Attributes:
        current: What is there now under the URI of the event's drop; None when the event names no drop.
        same_key: The run that the proposal's key already belongs to.
        same_content: Runs for the same bytes under the same URI, newest last, whatever code they were trained by.
    """

    event: Event
    current: DatasetVersion | None
    proposal: Proposal | None
    same_key: Run | None = None
    same_content: tuple[Run, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle:
    """The event starts nothing.

    Attributes:
        outcome: Why not: equal bytes were trained, newer bytes are there, nobody wants it, it cannot be served.
        run: The run that it counts on instead; None when there is none.
    """

    event: Event
    outcome: Literal["duplicated", "superseded", "skipped", "rejected"]
    why: str
    run: Run | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Enqueue:
    """A new run joins the backlog."""

    event: Event
    proposal: Proposal


@dataclass(frozen=True, slots=True, kw_only=True)
class Revive:
    """A run that had ended without a decision is wanted again."""

    event: Event
    run: Run
    why: str


def propose(
    event: Event, policy: ModelPolicy, known: Sequence[DatasetVersion], *, is_correction: bool = False
) -> Proposal | None:
    """The run that an event would start, or None when it is about no known drop.

    Args:
        event: What happened.
        policy: Of the event's model.
        known: Current good drops of the model, the newest periods at least.
        is_correction: Other bytes were under the drop's URI before.
    """
    target = _target(event, policy, known, is_correction=is_correction)
    if target is None:
        return None
    drops = window(target, policy.window_months, known)
    nonce = event.id if event.force else ""
    key = run_key(
        model=policy.name, drops=drops, pipeline_digest=policy.pipeline_digest, parameters=policy.parameters, nonce=nonce
    )
    return Proposal(drops=drops, key=key)


def _target(event: Event, policy: ModelPolicy, known: Sequence[DatasetVersion], *, is_correction: bool) -> DatasetVersion | None:
    """The drop a run is for: the event's own; the newest when it names none, or corrects a month of the newest one's window."""
    newest = max(known, key=lambda drop: drop.period, default=None)
    if event.drop is None or newest is None:
        return event.drop or newest
    if is_correction and event.drop.uri != newest.uri and event.drop in window(newest, policy.window_months, known):
        return newest
    return event.drop


def window(target: DatasetVersion, months: int, known: Sequence[DatasetVersion]) -> tuple[DatasetVersion, ...]:
    """The last `months` drops up to and including the target's, oldest first, one per URI."""
    earlier = sorted((drop for drop in known if drop.period < target.period), key=lambda drop: (drop.period, drop.uri))
    return (*earlier[len(earlier) - (months - 1) :], target) if months > 1 else (target,)


def plan(pending: Pending) -> Settle | Enqueue | Revive:
    """Decide what becomes of an event."""
    event, proposal = pending.event, pending.proposal
    if event.skip:
        return Settle(event=event, outcome="skipped", why=event.skip)
    if proposal is None:
        return Settle(event=event, outcome="rejected", why="no drop is known that it could train on")
    if event.drop and pending.current and pending.current.checksum != event.drop.checksum:
        return Settle(event=event, outcome="superseded", why=f"newer bytes are there: {pending.current.ref}")
    if event.force:
        return (
            Settle(event=event, outcome="duplicated", why="its run exists", run=pending.same_key)
            if pending.same_key
            else Enqueue(event=event, proposal=proposal)
        )
    earlier = _earlier_run(pending, proposal)
    return _again(event, earlier) if earlier else Enqueue(event=event, proposal=proposal)


def _earlier_run(pending: Pending, proposal: Proposal) -> Run | None:
    """Equal bytes count as trained for an arriving drop even when the code changed since; an operator means the code of now."""
    if pending.same_key:
        return pending.same_key
    if pending.event.kind is not EventKind.DROP:
        return None
    wanted = {(drop.uri, drop.checksum) for drop in proposal.drops}
    same = [run for run in pending.same_content if {(drop.uri, drop.checksum) for drop in run.drops} == wanted]
    return same[-1] if same else None


def _again(event: Event, run: Run) -> Settle | Revive:
    """What a second request for an existing run comes to."""
    asked = event.kind is not EventKind.DROP
    if run.state is RunState.SUPERSEDED:
        return Revive(event=event, run=run, why="its bytes are current again")
    if asked and run.state in {RunState.CANCELED, RunState.FAILED}:
        return Revive(event=event, run=run, why=f"asked for by {event.by or 'an operator'}")
    if run.state in LIVE and run.ending is None:
        return Settle(event=event, outcome="duplicated", why=f"run {run.name} is on its way ({run.state})", run=run)
    hint = "; --force trains it again" if asked else ""
    why = f"run {run.name} was for the same bytes and ended {run.state}{hint}"
    return Settle(event=event, outcome="duplicated", why=why, run=run)


def disappointed(run: Run, *, again: bool) -> tuple[str, ...]:
    """Whose events are to be decided anew when a run ends superseded or quarantined, of those that count on it: their URIs.

    What ended it says what became of its own drop, but nothing about the earlier months of its window, nor about a request
    that named no drop.

    Args:
        run: It has no outcome.
        again: Nor was it for its own drop's sake that it ended.
    """
    others = tuple(drop.uri for drop in run.drops[:-1])
    return (*others, run.drop.uri, "") if again else others
