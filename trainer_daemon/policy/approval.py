"""What becomes of a run that waits for a person's approval. Pure."""

from datetime import datetime, timedelta

from trainer_daemon.policy.actions import Advance, Promote, Reject
from trainer_daemon.policy.answers import answered, expired
from trainer_daemon.policy.promotion import PromotionPolicy
from trainer_daemon.policy.runs import Run, RunState


def ask(run: Run, policy: PromotionPolicy, now: datetime) -> Advance:
    """Have a run that passed the rules wait for an answer."""
    until = now + _patience(policy)
    why = f"the rules passed; a person has to approve it until {until:%Y-%m-%d %H:%M} UTC"
    return Advance(run=run, to=RunState.AWAITING_APPROVAL, why=why)


def expires_at(run: Run, policy: PromotionPolicy) -> datetime:
    """When a run that waits is given up, and approval comes too late; it has waited since its last move."""
    return run.updated_at + _patience(policy)


def is_approved(run: Run) -> bool:
    """Whether a run waits no longer for a person, but for its promotion to be carried out."""
    return run.state is RunState.AWAITING_APPROVAL and run.answer is not None and run.answer.approved


def promotion(run: Run, *, has_moved: bool = False) -> Promote | None:
    """The promotion that was approved; None when none was."""
    if not is_approved(run) or run.decision is None or run.answer is None:
        return None
    return Promote(run=run, decision=answered(run.decision, run.answer), has_moved=has_moved, why=run.answer.sentence)


def conclude(run: Run, champion_version: str, policy: PromotionPolicy, now: datetime) -> Advance | Promote | Reject | None:
    """The next action about a run that waits; None while nobody has said anything.

    Args:
        run: In state AWAITING_APPROVAL.
        champion_version: Who is champion now; empty for nobody.
        policy: Of the model.
        now: In UTC.
    """
    decision = run.decision
    if decision is None:
        return Advance(run=run, to=RunState.REJECTED, why="the decision that was to be approved is not in the ledger")
    if champion_version == decision.candidate_version:
        return Advance(run=run, to=RunState.PROMOTED, why="its version was made champion by hand")
    if run.answer is not None and not run.answer.approved:
        return Reject(run=run, decision=answered(decision, run.answer), why=run.answer.sentence)
    if (run.answer.at if run.answer else now) >= expires_at(run, policy):
        late = expired(decision, policy.approval_expiry_days)
        return Reject(run=run, decision=late, why=late.reasons[0])
    if champion_version != decision.champion_version:
        there = f"version {champion_version}" if champion_version else "nobody"
        why = f"champion is now {there}, it is evaluated again and needs another approval"
        return Advance(run=run, to=RunState.QUEUED, why=why, next_attempt=True)
    return promotion(run)


def _patience(policy: PromotionPolicy) -> timedelta:
    return timedelta(days=policy.approval_expiry_days)
