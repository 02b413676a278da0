"""What is told of a run as JSON, by `status --json` and by notifications; its shape is a contract. Pure."""

from typing import Any

from trainer_daemon.policy.promotion import Decision
from trainer_daemon.policy.runs import Run


def run_document(run: Run, link: str) -> dict[str, Any]:
    """The run as it stands; what there is none of is None.

    Args:
        run: With the decision of its present attempt.
        link: The page of the run where it is executed, or empty.
    """
    return {
        "key": run.key,
        "name": run.name,
        "period": run.period,
        "drops": [drop.ref for drop in run.drops],
        "state": run.state.value,
        "attempt": run.attempt,
        "attempts_max": run.attempts_max,
        "orchestrator_run": run.orchestrator_run or None,
        "link": link or None,
        "model_version": run.model_version or None,
        "decision": _decision(run.decision) if run.decision else None,
        "error": run.error or None,
    }


def _decision(decision: Decision) -> dict[str, Any]:
    return {"verdict": decision.verdict.value, "main_reason": decision.main_reason, "reasons": list(decision.reasons)}
