"""What a person says to a promotion that waits for approval, and what the decision comes to with it. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime

from trainer_daemon.policy.observations import Verdict
from trainer_daemon.policy.promotion import Decision
from trainer_daemon.policy.rules import outcome

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


def _ruled(decision: Decision, *, passed: bool, sentence: str) -> Decision:
    rule = outcome(APPROVAL, passed=passed, sentence=sentence)
    verdict = decision.verdict if passed else Verdict.REJECT
    return replace(decision, verdict=verdict, outcomes=(*decision.outcomes, rule))
