"""What a model version says of itself: the tags that decisions and people leave on it. Pure."""

import json
from collections.abc import Mapping
from datetime import datetime

from trainer_daemon.policy.interventions import Intervention
from trainer_daemon.policy.observations import Verdict
from trainer_daemon.policy.promotion import Decision
from trainer_daemon.policy.runs import Run

STATUS_TAG = "validation_status"
DECISION_TAG = "trainer.decision"
ROLLED_BACK_TAG = "trainer.rolled_back"
"""On a version that a person took back: the sentence that says who and why. While it is there, no run promotes this version."""
INTERVENTION_TAG = "trainer.intervention"
"""On a version that a person made champion."""


def decision_tags(run: Run, decision: Decision) -> dict[str, str]:
    """What a model version says of its own decision."""
    approved = decision.verdict is Verdict.PROMOTE
    rules = [
        {"rule": outcome.rule, "result": outcome.result.value, "sentence": outcome.sentence} for outcome in decision.outcomes
    ]
    document = {"verdict": decision.verdict.value, "run": run.name, "champion_version": decision.champion_version, "rules": rules}
    return {STATUS_TAG: "approved" if approved else "rejected", DECISION_TAG: json.dumps(document)}


def rollback_tags(wish: Intervention, now: datetime) -> Mapping[str, str]:
    """What the version says that a person took back."""
    return {ROLLED_BACK_TAG: f"{wish.sentence} ({_minute(now)})", STATUS_TAG: "rejected"}


def intervention_tags(wish: Intervention, now: datetime) -> Mapping[str, str]:
    """What the version says that a person made champion; an earlier bar is lifted."""
    told = wish.sentence if wish.kind == "promote" else f"restored by {wish.by} in place of {wish.replaced}: {wish.reason}"
    return {ROLLED_BACK_TAG: "", INTERVENTION_TAG: f"{told} ({_minute(now)})", STATUS_TAG: "approved"}


def _minute(now: datetime) -> str:
    return f"{now:%Y-%m-%d %H:%M} UTC"
