"""Builders of values with sensible defaults; a test overrides only what matters to it."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal

from trainer_daemon.policy.decide import Snapshot
from trainer_daemon.policy.events import DatasetVersion, Event, EventKind, Source, drop_event_id
from trainer_daemon.policy.interventions import Intervention
from trainer_daemon.policy.observations import Champion, Evaluation, Outcome, Verdict
from trainer_daemon.policy.plan import ModelPolicy
from trainer_daemon.policy.promotion import Decision, PromotionPolicy
from trainer_daemon.policy.runs import Run, RunState, run_key

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MODEL = "churn"


def a_drop(period: str = "2025-03", *, content: str = "a", generation: str = "1", uri: str = "") -> DatasetVersion:
    """A drop; `content` stands for its bytes."""
    name = uri or f"file:///drops/churn_data_{period.replace('-', '_')}.csv"
    return DatasetVersion(uri=name, generation=generation, checksum=f"sha256:{content}", period=period, size_bytes=1)


def a_drop_event(drop: DatasetVersion | None = None, **changes: Any) -> Event:  # noqa: ANN401 - any field
    """The event that a drop exists."""
    drop = drop or a_drop()
    event = Event(
        id=drop_event_id(MODEL, drop),
        kind=EventKind.DROP,
        model=MODEL,
        source=Source.WATCH,
        occurred_at=NOW,
        drop=drop,
        signature="s",
    )
    return replace(event, **changes)


def an_operator_event(drop: DatasetVersion | None = None, **changes: Any) -> Event:  # noqa: ANN401 - any field
    """The event that an operator asks for a run."""
    event = Event(id="cli:churn:1", kind=EventKind.OPERATOR, model=MODEL, source=Source.CLI, occurred_at=NOW, drop=drop, by="ann")
    return replace(event, **changes)


def a_policy(**changes: Any) -> ModelPolicy:  # noqa: ANN401 - any field
    """A model's policy with the default promotion rules."""
    promotion = PromotionPolicy(thresholds={"roc_auc": 0.6}, max_loss={"roc_auc": 0.05}, min_holdout_rows=30)
    return replace(ModelPolicy(name=MODEL, promotion=promotion, pipeline_digest="d"), **changes)


def a_run(state: RunState = RunState.QUEUED, *drops: DatasetVersion, **changes: Any) -> Run:  # noqa: ANN401 - any field
    """A run of one drop."""
    drops = drops or (a_drop(),)
    run = Run(
        key=run_key(model=MODEL, drops=drops, pipeline_digest="d", parameters={}),
        model=MODEL,
        period=drops[-1].period,
        drops=drops,
        state=state,
        attempt=1,
        attempts_max=3,
        sequence=1,
        ready_at=NOW,
        updated_at=NOW,
        model_version="2" if state is RunState.TRAINED else "",
    )
    return replace(run, **changes)


def an_evaluation(**changes: Any) -> Evaluation:  # noqa: ANN401 - any field
    """A candidate that is better than champion version 1."""
    evaluation = Evaluation(
        run_key="k",
        attempt=1,
        holdout_rows=200,
        candidate={"log_loss": 0.50, "roc_auc": 0.80},
        champion_version="1",
        champion={"log_loss": 0.60, "roc_auc": 0.79},
    )
    return replace(evaluation, **changes)


def an_outcome(**changes: Any) -> Outcome:  # noqa: ANN401 - any field
    """What a run leaves that registered version 2."""
    return replace(Outcome(version="2", evaluation=an_evaluation(), evaluation_json={"format": 1}), **changes)


def a_decision(verdict: Verdict = Verdict.PROMOTE, **changes: Any) -> Decision:  # noqa: ANN401 - any field
    """A decision about version 2 against champion version 1."""
    return replace(Decision(verdict=verdict, outcomes=(), candidate_version="2", champion_version="1"), **changes)


def a_champion(version: str = "1", **changes: Any) -> Champion:  # noqa: ANN401 - any field
    """The champion, trained on an early month."""
    return replace(Champion(version=version, run_key="c", period="2025-01"), **changes)


def an_intervention(kind: Literal["promote", "rollback"] = "rollback", **changes: Any) -> Intervention:  # noqa: ANN401 - any field
    """Ann wants version 1 instead of version 2."""
    wish = Intervention(model=MODEL, kind=kind, version="1", replaces="2", by="ann", reason="scores are off", at=NOW)
    return replace(wish, **changes)


def a_snapshot(*runs: Run, **changes: Any) -> Snapshot:  # noqa: ANN401 - any field
    """A look at a model whose champion is version 1 and whose drops are all current."""
    current = {drop.uri: drop for run in runs for drop in run.drops}
    return replace(Snapshot(policy=a_policy(), runs=runs, current=current, known_champion=a_champion()), **changes)
