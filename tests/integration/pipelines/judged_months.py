"""Months trained, compared and judged one after another through the plain functions: no pipeline, no registry, no daemon."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from pipelines.evaluation import (
    EVALUATION_FORMAT,
    ChampionScores,
    Scores,
    as_known_to,
    champion_document,
    model_document,
    score,
)
from pipelines.evidence.document import Evaluated, evidence_document
from pipelines.evidence.drift import drift
from pipelines.evidence.reference import columns_document, parse_reference, reference_document
from pipelines.evidence.slices import SliceSettings
from tests.integration.pipelines.churn_models import Month
from trainer_daemon.config_promotion import PromotionSettings
from trainer_daemon.policy.observations import Champion, Evaluation, Verdict, parse_evaluation
from trainer_daemon.policy.promotion import Case, Decision, PromotionPolicy, Result, judge

SLICES = SliceSettings(min_rows=25)


def a_policy(**settings: Any) -> PromotionPolicy:  # noqa: ANN401 - any key
    """The default policy as it is configured, with some keys changed."""
    keys = PromotionSettings(**settings).model_dump(exclude={"slice_columns", "min_slice_rows"})
    return PromotionPolicy(**keys)


def failed(decision: Decision) -> list[str]:
    """Names of the rules that failed."""
    return [outcome.rule for outcome in decision.outcomes if outcome.result is Result.FAILED]


def labels_of(month: Month, rows: pd.DataFrame) -> np.ndarray:
    """int64, `(rows,)`."""
    labels: np.ndarray = rows[month.data.schema.target].to_numpy().astype(np.int64)
    return labels


def evaluation_of(candidate: Month, champion: Month | None, *, version: str = "1", slicing: SliceSettings = SLICES) -> Evaluation:
    """Candidate and champion on the rows that the candidate's month holds out, written and read as the pipeline does."""
    rows, schema = candidate.data.holdout, candidate.data.schema
    labels = labels_of(candidate, rows)
    own = score(candidate.trained.model, rows[list(schema.features)], labels)
    other = _champion_scores(champion, version, rows, labels) if champion else None
    evaluated = Evaluated(rows=rows, schema=schema, labels=labels, candidate=own, champion=other, at=datetime.now(UTC))
    document = {
        "format": EVALUATION_FORMAT,
        "run_key": "k",
        "attempt": 1,
        "holdout": {"rows": len(rows)},
        "candidate": model_document(own),
        "champion": champion_document(other),
        **evidence_document(evaluated, seed=0, settings=slicing),
    }
    return parse_evaluation(json.loads(json.dumps(document, allow_nan=False)))


def _champion_scores(champion: Month, version: str, rows: pd.DataFrame, labels: np.ndarray) -> ChampionScores:
    known, missing = as_known_to(champion.trained.model, rows, champion.data.schema)
    scores = score(champion.trained.model, known, labels)
    reference = parse_reference(
        json.dumps(reference_document(columns_document(champion.data.training, champion.data.schema), _unseen(champion)))
    )
    return ChampionScores(
        version=version, scores=scores, missing_columns=missing, drift=drift(reference, known, scores.probabilities)
    )


def _unseen(month: Month) -> np.ndarray:
    """The model's probabilities of its own held-out rows."""
    rows = month.data.holdout
    scores: Scores = score(month.trained.model, rows[list(month.data.schema.features)], labels_of(month, rows))
    return scores.probabilities


@dataclass
class Story:
    """A model's months, in order; whoever is promoted is compared with from then on."""

    policy: PromotionPolicy
    champion: Month | None = None
    version: str = ""
    period: str = ""
    decisions: list[Decision] = field(default_factory=list)

    def judge(self, candidate: Month, period: str) -> Decision:
        """Decide about the next month's candidate."""
        version = str(len(self.decisions) + 1)
        champion = Champion(version=self.version, period=self.period) if self.champion else None
        evaluation = evaluation_of(candidate, self.champion, version=self.version)
        case = Case(candidate_version=version, candidate_period=period, evaluation=evaluation, champion=champion)
        decision = judge(case, self.policy)
        self.decisions.append(decision)
        if decision.verdict is Verdict.PROMOTE:
            self.champion, self.version, self.period = candidate, version, period
        return decision


def monthly(content: bytes, months: int) -> Sequence[pd.DataFrame]:
    """A data set dealt out to so many months, row by row; cells as they were written."""
    lines = content.decode().splitlines()
    header = lines[0].split(",")
    rows = pd.DataFrame([line.split(",") for line in lines[1:]], columns=header)
    return [rows[month::months].reset_index(drop=True) for month in range(months)]


def csv_of(rows: pd.DataFrame) -> bytes:
    """Back to a drop."""
    return str(rows.to_csv(index=False)).encode()
