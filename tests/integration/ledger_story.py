"""Ledgers with a past, written through the real ledger as the reconciler would; moments are a minute apart."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.builders import MODEL, NOW, a_drop, a_drop_event
from trainer_daemon.adapters.ledger import Change, Ledger
from trainer_daemon.policy.events import DatasetVersion, Event, EventKind, Rejection, Source
from trainer_daemon.policy.observations import Champion, Outcome, parse_evaluation
from trainer_daemon.policy.plan import Proposal
from trainer_daemon.policy.promotion import Case, Decision, PromotionPolicy, judge
from trainer_daemon.policy.runs import Run, RunState, run_key

POLICY = PromotionPolicy(thresholds={"roc_auc": 0.6}, max_loss={"roc_auc": 0.05}, min_holdout_rows=30)


def evaluation_json(run: Run, *, candidate: dict[str, float], champion: dict[str, Any] | None) -> dict[str, Any]:
    """An `evaluation.json` as the pipeline writes it."""
    return {
        "format": 1,
        "run_key": run.key,
        "attempt": run.attempt,
        "model": run.model,
        "period": run.period,
        "holdout": {"rows": 204, "positives": 51},
        "training": {"rows": 796, "positives": 198, "estimator": "logistic_regression"},
        "candidate": {"metrics": candidate},
        "champion": champion,
    }


def advanced(ledger: Ledger, run: Run, to: RunState, *, why: str, now: datetime, change: Change | None = None) -> Run:
    """A run that moved to another state, as it is then."""
    ledger.advance(run, to, why=why, now=now, change=change)
    return ledger.run(run.key)


class Storyteller:
    """Writes a past into a ledger, one moment per call of the ledger.

    Args:
        place: The ledger's file, or its URL.
        model: Whose past it is.
    """

    def __init__(self, place: Path | str, model: str = MODEL) -> None:
        self.url = place if isinstance(place, str) else f"sqlite:///{place}"
        self.ledger = Ledger(self.url)
        self.model = model
        self._minutes = 0

    def tick(self) -> datetime:
        """The next moment."""
        self._minutes += 1
        return NOW + timedelta(minutes=self._minutes)

    def arrives(self, drop: DatasetVersion) -> Event:
        """A drop is recorded."""
        event = replace(a_drop_event(drop), model=self.model, id=f"drop:{self.model}:{drop.ref}")
        self.ledger.record([event], self.tick())
        return event

    def queued(self, drop: DatasetVersion) -> Run:
        """A drop is recorded and its run queued."""
        event = self.arrives(drop)
        key = run_key(model=self.model, drops=(drop,), pipeline_digest="d", parameters={})
        return self.ledger.enqueue(event, Proposal(drops=(drop,), key=key), attempts_max=3, now=self.tick())

    def running(self, drop: DatasetVersion) -> Run:
        """A drop's run is under way."""
        run = self.queued(drop)
        change = Change(orchestrator_run=run.name, error="")
        return advanced(self.ledger, run, RunState.RUNNING, why="submitted", now=self.tick(), change=change)

    def ended(self, drop: DatasetVersion, state: RunState, why: str) -> Run:
        """A drop's run ended without a model."""
        run = self.running(drop)
        return advanced(self.ledger, run, state, why=why, now=self.tick(), change=Change(error=why))

    def waits(self, drop: DatasetVersion, version: str) -> Run:
        """A drop's run passed the rules and waits for approval."""
        run, _ = self._decided(drop, version, 0.45)
        return advanced(self.ledger, run, RunState.AWAITING_APPROVAL, why="the rules passed", now=self.tick())

    def judged(self, drop: DatasetVersion, version: str, *, log_loss: float) -> Run:
        """A drop's run registered a version, was judged against the champion of log loss 0.6, and promoted or rejected."""
        run, decision = self._decided(drop, version, log_loss)
        if decision.verdict == "promote":
            return self._promoted(run, version, decision)
        return advanced(self.ledger, run, RunState.REJECTED, why="; ".join(decision.reasons), now=self.tick())

    def evaluated_again(self, run: Run, *, log_loss: float) -> Run:
        """A run that waits for approval is evaluated again, since the champion has moved, and promoted."""
        moved = Change(next_attempt=True, extra_attempt=True)
        run = advanced(self.ledger, run, RunState.QUEUED, why="champion is now another", now=self.tick(), change=moved)
        change = Change(orchestrator_run=run.name, error="")
        run = advanced(self.ledger, run, RunState.RUNNING, why="submitted", now=self.tick(), change=change)
        run, decision = self._concluded(run, run.model_version, log_loss)
        return self._promoted(run, run.model_version, decision)

    def _promoted(self, run: Run, version: str, decision: Decision) -> Run:
        champion = Champion(version=version, run_key=run.key, period=run.period)
        self.ledger.promoted(run, champion, why="; ".join(decision.reasons), now=self.tick())
        return self.ledger.run(run.key)

    def _decided(self, drop: DatasetVersion, version: str, log_loss: float) -> tuple[Run, Decision]:
        return self._concluded(self.running(drop), version, log_loss)

    def _concluded(self, run: Run, version: str, log_loss: float) -> tuple[Run, Decision]:
        trained = Change(model_version=version)
        run = advanced(self.ledger, run, RunState.TRAINED, why="the pipeline succeeded", now=self.tick(), change=trained)
        known = self.ledger.known_champion(self.model)
        return run, self._judge(run, known if known and known.version else None, log_loss)

    def _judge(self, run: Run, champion: Champion | None, log_loss: float) -> Decision:
        scored = (
            {"version": champion.version, "metrics": {"log_loss": 0.6, "roc_auc": 0.78, "accuracy": 0.55}} if champion else None
        )
        document = evaluation_json(run, candidate={"log_loss": log_loss, "roc_auc": 0.8, "accuracy": 0.75}, champion=scored)
        case = Case(
            candidate_version=run.model_version,
            candidate_period=run.period,
            evaluation=parse_evaluation(document),
            champion=champion,
        )
        decision = judge(case, POLICY)
        outcome = Outcome(version=run.model_version, evaluation_json=document)
        self.ledger.record_decision(run, decision, outcome.evaluation_json, self.tick())
        return decision


def a_whole_past(place: Path | str) -> Storyteller:
    """A ledger in which everything has happened once: every month of 2025 has another end."""
    story = Storyteller(place)
    first = story.judged(a_drop("2025-01"), "1", log_loss=0.55)
    same = replace(a_drop("2025-01"), generation="2")
    story.ledger.settle(story.arrives(same), outcome="duplicated", why="run for the same bytes ended PROMOTED", run=first)
    story.ended(a_drop("2025-02"), RunState.QUARANTINED, "line 501 has 3 fields, the header has 5; the file seems to be cut off")
    story.judged(a_drop("2025-03"), "2", log_loss=0.50)
    story.judged(a_drop("2025-04"), "3", log_loss=0.70)
    story.ended(a_drop("2025-05"), RunState.SUPERSEDED, "newer bytes arrived: file:///drops/churn_data_2025_05.csv#2")
    story.ended(a_drop("2025-06"), RunState.CANCELED, "ann: wrong file")
    story.ended(a_drop("2025-07"), RunState.FAILED, "step train_model failed: it was killed, probably because memory ran out")
    ignored = Event(
        id=f"ignored:{MODEL}:file:///drops/churn_data_2025_13.csv#s",
        kind=EventKind.DROP,
        model=MODEL,
        source=Source.LISTING,
        occurred_at=NOW,
    )
    story.ledger.record([Rejection(event=ignored, subject="churn_data_2025_13.csv", why="month 13 does not exist")], story.tick())
    story.running(a_drop("2025-08"))
    story.queued(a_drop("2025-09"))
    story.arrives(a_drop("2025-10"))
    return story
