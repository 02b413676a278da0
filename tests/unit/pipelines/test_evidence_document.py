"""The parts of `evaluation.json` that hold the evidence."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from pipelines.evaluation import ChampionScores, score_probabilities
from pipelines.evidence.document import Evaluated, evidence_document
from pipelines.evidence.drift import Drift
from pipelines.evidence.slices import SliceSettings
from pipelines.schema import Kind
from tests.unit.pipelines.builders import a_schema
from tests.unit.pipelines.predictions import scored
from trainer_daemon.policy.evidence import parse_evidence

SCORES, LABELS = scored(300, seed=8)
WORSE = np.clip(SCORES + np.random.default_rng(9).normal(0, 0.2, 300), 0.001, 0.999)
EVALUATED = Evaluated(
    rows=pd.DataFrame({"Tenure": SCORES, "Contract": pd.Series(["a", "b", "c"] * 100, dtype="str"), "Id": np.arange(300) // 2}),
    schema=a_schema(Tenure=Kind.NUMERIC, Contract=Kind.TEXT),
    labels=LABELS,
    candidate=score_probabilities(SCORES, LABELS),
    champion=ChampionScores(version="3", scores=score_probabilities(WORSE, LABELS), drift=Drift(error="nobody knows")),
    at=datetime(2025, 4, 3, 2, 10, tzinfo=UTC),
)


def test_document_is_json_that_the_daemon_reads() -> None:
    """Writer and reader agree, to six digits."""
    document = evidence_document(EVALUATED, seed=1, settings=SliceSettings())
    evidence = parse_evidence(json.loads(json.dumps(document, allow_nan=False)))
    assert evidence.evaluated_at == EVALUATED.at
    assert evidence.differences["log_loss"].probability_of_gain(0, higher_is_better=False) > 0.9
    assert evidence.slices is not None
    assert [entry.value for entry in evidence.slices.found] == ["a", "b", "c"]
    assert evidence.drift is not None
    assert evidence.drift.error == "nobody knows"
    assert evidence.feature_auc is not None
    assert set(evidence.feature_auc) == {"Tenure", "Contract"}
    assert document["differences"]["units"] == 300
    assert document["differences"]["delong"]["difference"] == float(
        f"{document['differences']['metrics']['roc_auc']['observed']:.6g}"
    )
    assert document["differences"]["mcnemar"]["only_first"] > document["differences"]["mcnemar"]["only_second"]
    assert [len(document["calibration"][name]) > 3 for name in ("candidate", "champion")] == [True, True]


def test_customers_with_several_rows_are_counted_once() -> None:
    """The entity column says who they are."""
    customers = replace(EVALUATED, schema=replace(EVALUATED.schema, entity_column="Id"))
    assert evidence_document(customers, seed=1, settings=SliceSettings())["differences"]["units"] == 150


def test_first_model_has_no_differences_and_no_drift() -> None:
    """There is nothing to differ from."""
    document = evidence_document(replace(EVALUATED, champion=None), seed=1, settings=SliceSettings())
    assert (document["differences"], document["drift"], document["calibration"]["champion"]) == (None, None, None)
    assert parse_evidence(document).differences == {}


def test_champion_that_cannot_be_scored_has_no_differences() -> None:
    """Rules on them then fail."""
    broken = replace(EVALUATED, champion=ChampionScores(version="3", error="it is gone"))
    document = evidence_document(broken, seed=1, settings=SliceSettings())
    assert (document["differences"], document["drift"]) == (None, None)
