"""What the daemon has to tell somebody, and which moves of a run are worth it. Pure.

A notice is written in the transaction of what it tells, and never changes: whoever gets it twice gets the same. Its id says
what happened to what, so that it is the same again even when a lost ledger is rebuilt.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from trainer_daemon.policy.events import DatasetVersion
from trainer_daemon.policy.run_document import run_document
from trainer_daemon.policy.runs import Run, RunState


class NoticeKind(StrEnum):
    """What happened; named like the log events."""

    CANDIDATE_PROMOTED = "candidate_promoted"
    CANDIDATE_REJECTED = "candidate_rejected"
    APPROVAL_REQUESTED = "approval_requested"
    APPROVAL_EXPIRED = "approval_expired"
    DROP_QUARANTINED = "drop_quarantined"
    RUN_FAILED = "run_failed"
    CHAMPION_PROMOTED_BY_OPERATOR = "champion_promoted_by_operator"
    CHAMPION_ROLLED_BACK = "champion_rolled_back"


TEST = "notification_tested"
"""What `doctor --notify` sends; nothing happened."""


_K = NoticeKind
_BY_STATE: Mapping[RunState, NoticeKind] = {
    RunState.PROMOTED: _K.CANDIDATE_PROMOTED,
    RunState.REJECTED: _K.CANDIDATE_REJECTED,
    RunState.AWAITING_APPROVAL: _K.APPROVAL_REQUESTED,
    RunState.QUARANTINED: _K.DROP_QUARANTINED,
    RunState.FAILED: _K.RUN_FAILED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing that happened.

    Attributes:
        id: The same however often it is delivered; of ASCII, without a full stop, which separates it from what is signed with it.
        subject: Name of the run, reference of the drop or version of the model that it is about.
        data: What is told of it; JSON values.
    """

    id: str
    kind: str
    model: str
    subject: str
    at: datetime
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressee:
    """Somebody who wants to be told.

    Attributes:
        name: Of the endpoint.
        kinds: What of.
    """

    name: str
    kinds: frozenset[NoticeKind]


def kind_of_move(run: Run, to: RunState, *, is_over: bool) -> NoticeKind | None:
    """What a move of a run is told as; None when nobody has to hear of it.

    Args:
        run: As it was before.
        to: Where it goes.
        is_over: Nothing follows by itself; a failed attempt that is made again is no news.
    """
    if to is RunState.FAILED and not is_over:
        return None
    if to is RunState.REJECTED and run.state is RunState.AWAITING_APPROVAL and run.answer is None and run.decision is not None:
        return NoticeKind.APPROVAL_EXPIRED
    return _BY_STATE.get(to)


def about_run(kind: NoticeKind, run: Run, *, why: str, link: str, at: datetime) -> Notice:
    """A run has come to something.

    Args:
        kind: What it came to.
        run: As it stands now.
        why: The reason of its move; only told when the decision's own are not the reasons.
        link: Its page where it was executed, or empty.
        at: When.
    """
    decided = run.decision.reasons if run.decision else ()
    reasons = decided if "; ".join(decided) == why else (why,)
    against = run.decision.champion_version if run.decision else run.champion_version
    told = {"champion_version": against or None, "reasons": list(reasons)}
    return Notice(
        id=f"{kind}:{run.name}",
        kind=kind,
        model=run.model,
        subject=run.name,
        at=at,
        data={"model": run.model, **run_document(run, link), **told},
    )


def about_drop(model: str, drop: DatasetVersion, *, why: str, at: datetime) -> Notice:
    """A drop that no run of its own has found to be bad was quarantined."""
    kind = NoticeKind.DROP_QUARANTINED
    data = {"model": model, "period": drop.period, "drops": [drop.ref], "reasons": [why]}
    digest = hashlib.sha256(drop.ref.encode()).hexdigest()[:12]  # an id stands in a header, a file may be called anything
    return Notice(id=f"{kind}:{model}:{digest}", kind=kind, model=model, subject=drop.ref, at=at, data=data)


def about_intervention(
    kind: NoticeKind, model: str, *, version: str, previous: str, by: str, reason: str, at: datetime
) -> Notice:
    """A person has made a version champion, whatever the rules say.

    Args:
        kind: `champion_promoted_by_operator` or `champion_rolled_back`.
        model: Name of the model.
        version: Who is champion now.
        previous: Who was until then; empty for nobody.
        by: Who wanted it.
        reason: Why.
        at: When; part of the id, since the same two may change places again.
    """
    data = {"model": model, "model_version": version, "champion_version": previous or None, "by": by, "reasons": [reason]}
    return Notice(id=f"{kind}:{model}:{version}@{at:%Y%m%dT%H%M%S%f}", kind=kind, model=model, subject=version, at=at, data=data)


def about_test(at: datetime) -> Notice:
    """Somebody wants to know whether notifications arrive."""
    told = ["this is a test, nothing happened"]
    return Notice(id=f"{TEST}:{at:%Y%m%dT%H%M%S%f}", kind=TEST, model="doctor", subject="test", at=at, data={"reasons": told})


def wanting(kind: str, addressees: Iterable[Addressee]) -> tuple[str, ...]:
    """The names of those who want to be told."""
    return tuple(addressee.name for addressee in addressees if kind in addressee.kinds)
