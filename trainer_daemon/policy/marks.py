"""What a model version says of itself: the tags that decisions and people leave on it. Pure."""

import json

from trainer_daemon.policy.observations import Verdict
from trainer_daemon.policy.promotion import Decision
from trainer_daemon.policy.runs import Run


def decision_tags(run: Run, decision: Decision) -> dict[str, str]:
    """What a model version says of its own decision."""
    approved = decision.verdict is Verdict.PROMOTE
    rules = [
        {"rule": outcome.rule, "result": outcome.result.value, "sentence": outcome.sentence} for outcome in decision.outcomes
    ]
    document = {"verdict": decision.verdict.value, "run": run.name, "champion_version": decision.champion_version, "rules": rules}
    return {"validation_status": "approved" if approved else "rejected", "trainer.decision": json.dumps(document)}
