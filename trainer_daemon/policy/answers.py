"""What a person says to a promotion that waits for approval, and what the decision comes to with it. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime

from trainer_daemon.policy.observations import Verdict
from trainer_daemon.policy.promotion import Decision, not_rolled_back
from trainer_daemon.policy.rules import RuleOutcome, outcome

APPROVAL = "approval"
"""Name of the rule that only a person can pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Yes or no, by somebody, for a reason."""

    approved: bool
    by: str
    reason: str
    at: datetime

    @property
    def sentence(self) -> str:
        """As it is kept with the decision."""
        return f"{'approved' if self.approved else 'rejected'} by {self.by}: {self.reason}"


def answered(decision: Decision, answer: Answer) -> Decision:
    """The decision with the answer as one more rule."""
    return _ruled(decision, passed=answer.approved, sentence=answer.sentence)


def expired(decision: Decision, days: float) -> Decision:
    """The decision after nobody has answered for so long."""
    return _ruled(decision, passed=False, sentence=f"nobody approved it within {days:g} days")


def barred(decision: Decision, rolled_back: str) -> Decision:
    """The decision about a version that a person took back meanwhile."""
    return _with(decision, not_rolled_back(decision.candidate_version, rolled_back), Verdict.REJECT)


def _ruled(decision: Decision, *, passed: bool, sentence: str) -> Decision:
    rule = outcome(APPROVAL, passed=passed, sentence=sentence)
    return _with(decision, rule, decision.verdict if passed else Verdict.REJECT)


def _with(decision: Decision, rule: RuleOutcome, verdict: Verdict) -> Decision:
    return replace(decision, verdict=verdict, outcomes=(*decision.outcomes, rule))
