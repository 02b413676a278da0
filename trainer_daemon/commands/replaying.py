"""Stored evaluations under other rules: what the judge would have said then. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trainer_daemon.adapters.ledger.history import Judgement, Reign
from trainer_daemon.policy.observations import Champion, Evaluation, parse_evaluation
from trainer_daemon.policy.promotion import ROLLED_BACK, Case, Decision, PromotionPolicy, judge
from trainer_daemon.policy.runs import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One decision, as it was made and as other rules would have made it.

    Attributes:
        at: When it was made.
    """

    run: Run
    attempt: int
    at: datetime
    then: Decision
    now: Decision

    @property
    def differs(self) -> bool:
        """Whether the verdict is another one."""
        return self.then.verdict is not self.now.verdict


def replayed(run: Run, made: Judgement, reigns: Sequence[Reign], policy: PromotionPolicy) -> Replayed:
    """Judge again what was judged.

    Args:
        run: The run that it was about.
        made: Its decision, with the evaluation.
        reigns: Who was champion when, oldest first; tells of which period the champion of then was.
        policy: The other rules.
    """
    before = [reign for reign in reigns if reign.at <= made.at]
    case = Case(
        candidate_version=made.decision.candidate_version,
        candidate_period=run.period,
        evaluation=_evaluation(made.evaluation, made.attempt),
        champion=_champion(made.decision.champion_version, before),
        lost_champion=next((reign.version for reign in reversed(before) if reign.version), ""),
        rolled_back=_rolled_back(made.decision),
    )
    return Replayed(run=run, attempt=made.attempt, at=made.at, then=made.decision, now=judge(case, policy))


def _champion(version: str, before: Sequence[Reign]) -> Champion | None:
    if not version:
        return None
    reign = next((reign for reign in reversed(before) if reign.version == version), None)
    return Champion(version=version, run_key=reign.run_key, period=reign.period) if reign else Champion(version=version)


def _rolled_back(decision: Decision) -> str:
    """Who had taken the version back by then; empty when nobody had. Other rules do not bring it back."""
    said = next((outcome.sentence for outcome in decision.outcomes if outcome.rule == ROLLED_BACK), "")
    return said.partition(" was ")[2]


def _evaluation(document: Mapping[str, Any], attempt: int) -> Evaluation | None:
    """As the daemon reads it: what cannot be read, or is about another attempt, is none."""
    try:
        evaluation = parse_evaluation(document)
    except ValueError:
        return None
    return evaluation if evaluation.attempt == attempt else None
