"""Which parts of the rows are looked at, and what is said of them."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipelines.evaluation import score_probabilities
from pipelines.evidence.slices import MISSING, ScoredRows, SliceSettings, slices
from pipelines.schema import Kind
from tests.unit.pipelines.builders import a_schema
from tests.unit.pipelines.predictions import scored

ROWS = 600
CANDIDATE, LABELS = scored(ROWS, seed=1)
FRAME = pd.DataFrame(
    {
        "Contract": pd.Series(["monthly", "yearly", math.nan] * (ROWS // 3), dtype="str"),
        "City": pd.Series([f"city {number % 40}" for number in range(ROWS)], dtype="str"),
        "Tickets": (np.arange(ROWS) % 2).astype("float64"),
        "Charges": np.linspace(0, 1, ROWS),
    }
)
SCHEMA = a_schema(Contract=Kind.TEXT, City=Kind.TEXT, Tickets=Kind.NUMERIC, Charges=Kind.NUMERIC)
SCORED = ScoredRows(frame=FRAME, schema=SCHEMA, labels=LABELS, candidate=CANDIDATE, champion=1 - CANDIDATE)


def test_texts_with_few_values_are_slices_and_nothing_else() -> None:
    """Neither numbers nor forty cities."""
    found = slices(SCORED, SliceSettings(min_rows=50))
    assert found.columns == ("Contract",)
    assert [(entry.column, entry.value, entry.rows) for entry in found.found] == [
        ("Contract", "monthly", 200),
        ("Contract", "yearly", 200),
        ("Contract", MISSING, 200),
    ]


def test_both_models_are_scored_on_the_rows_of_the_slice() -> None:
    """With every metric of the evaluation."""
    (monthly, *_) = slices(SCORED, SliceSettings()).found
    mask = np.arange(ROWS) % 3 == 0
    assert monthly.candidate == pytest.approx(dict(score_probabilities(CANDIDATE[mask], LABELS[mask]).metrics))
    assert monthly.champion == pytest.approx(dict(score_probabilities(1 - CANDIDATE[mask], LABELS[mask]).metrics))
    assert monthly.positives == LABELS[mask].sum()


def test_configured_column_is_sliced_whatever_it_holds() -> None:
    """Its name in any case; numbers are named as people write them; the many cities are too small."""
    found = slices(SCORED, SliceSettings(columns=("tickets", "City")))
    assert found.columns == ("Tickets", "City", "Contract")
    assert [entry.value for entry in found.found if entry.column == "Tickets"] == ["0", "1"]
    assert found.too_small == 30


def test_configured_column_that_is_not_there_is_named() -> None:
    """So that a rule on slices can fail."""
    assert slices(SCORED, SliceSettings(columns=("Region",))).absent == ("Region",)


def test_slice_needs_rows_of_both_labels() -> None:
    """Two hundred customers of whom four left rank nobody."""
    labels = np.zeros(ROWS, dtype=int)
    labels[[0, 3, 6, 9, 1, 4, 7, 10, 13]] = 1
    found = slices(replace(SCORED, labels=labels), SliceSettings())
    assert [entry.value for entry in found.found] == ["yearly"]
    assert found.too_small == 2


def test_first_model_has_slices_without_a_champion() -> None:
    """There is nobody to compare with."""
    assert [entry.champion for entry in slices(replace(SCORED, champion=None), SliceSettings()).found] == [{}, {}, {}]
