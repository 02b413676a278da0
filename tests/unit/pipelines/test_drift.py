"""What a model's data looked like, and how far a month is from it."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipelines.evidence.drift import drift, numbers_shift, texts_shift
from pipelines.evidence.reference import (
    Numbers,
    Reference,
    Texts,
    columns_document,
    parse_reference,
    reference_document,
    summarise_numbers,
)
from pipelines.schema import Kind
from tests.unit.pipelines.builders import a_schema

DRAW = np.random.default_rng(5)
TRAINED = DRAW.normal(0, 1, 20_000)
SCHEMA = a_schema(Charges=Kind.NUMERIC, Contract=Kind.TEXT)


def a_frame(charges: np.ndarray, contracts: list[str | float]) -> pd.DataFrame:
    """A number and a text."""
    return pd.DataFrame({"Charges": charges, "Contract": pd.Series(contracts, dtype="str")})


def a_reference(frame: pd.DataFrame, scores: np.ndarray) -> Reference:
    """As it comes back from a file."""
    return parse_reference(json.dumps(reference_document(columns_document(frame, SCHEMA), scores), allow_nan=False))


def test_stability_index_is_that_of_the_formula() -> None:
    """Two bins, by hand: (0.7 - 0.5) ln(0.7 / 0.5) + (0.3 - 0.5) ln(0.3 / 0.5)."""
    then = Numbers(rows=10**6, missing=0.0, edges=(0.0,), shares=(0.5, 0.5))
    now = numbers_shift(then, np.repeat([-1.0, 1.0], [700_000, 300_000]))
    assert now.psi == pytest.approx(0.2 * math.log(0.7 / 0.5) - 0.2 * math.log(0.3 / 0.5), rel=1e-4)
    assert now.ks == pytest.approx(0.2)


def test_index_without_drift_is_what_chance_makes_of_it() -> None:
    """Over many months without drift, the mean of the index is the figure that stands beside it."""
    then = summarise_numbers(TRAINED)
    months = [numbers_shift(then, DRAW.normal(0, 1, 200)) for _ in range(300)]
    assert np.mean([month.psi for month in months]) == pytest.approx(months[0].psi_without_drift, rel=0.15)
    assert months[0].psi_without_drift == pytest.approx(9 * (1 / 200 + 1 / 20_000), rel=0.15)


def test_another_population_is_far_away() -> None:
    """Customers who pay one standard deviation more."""
    assert numbers_shift(summarise_numbers(TRAINED), DRAW.normal(1, 1, 500)).psi > 0.5


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, 7.0]), min_size=5, max_size=60))
def test_distance_is_that_of_scipy(values: list[float]) -> None:
    """Exactly, where a column has few values."""
    then = DRAW.choice([0.0, 1.0, 2.0, 7.0], 500, p=[0.4, 0.3, 0.2, 0.1])
    expected = stats.ks_2samp(then, values, method="asymp").statistic
    assert numbers_shift(summarise_numbers(then), np.array(values)).ks == pytest.approx(expected)


def test_distance_of_continuous_numbers_is_within_a_percentile() -> None:
    """The summary knows percentiles only."""
    now = DRAW.normal(0.3, 1.2, 400)
    expected = stats.ks_2samp(TRAINED, now).statistic
    assert numbers_shift(summarise_numbers(TRAINED), now).ks == pytest.approx(expected, abs=0.011)


def test_numbers_that_are_no_longer_filled_in_are_drift() -> None:
    """What is left looks as before."""
    half = np.where(np.arange(1000) % 2 == 0, DRAW.normal(0, 1, 1000), math.nan)
    assert numbers_shift(summarise_numbers(TRAINED), half).psi > 1


def test_new_and_missing_texts_are_drift() -> None:
    """A contract that nobody had, and one that is no longer filled in."""
    then = Texts(rows=1000, missing=0.0, levels={"monthly": 0.6, "yearly": 0.4})
    same = pd.Series(["monthly"] * 60 + ["yearly"] * 40, dtype="str")
    assert texts_shift(then, same).psi < 0.01
    assert texts_shift(then, same.replace("yearly", "weekly")).psi > 1
    assert texts_shift(then, same.where(same == "monthly")).psi > 1
    assert texts_shift(then, same).ks is None


def test_model_is_compared_column_by_column_and_in_its_scores() -> None:
    """A column that is gone is missing throughout; one that is new is unknown to the model."""
    frame = a_frame(TRAINED[:2000], ["monthly", "yearly"] * 1000)
    reference = a_reference(frame, DRAW.random(2000))
    same = drift(reference, a_frame(TRAINED[2000:3000], ["monthly", "yearly"] * 500), DRAW.random(1000))
    assert set(same.columns) == {"Charges", "Contract"}
    assert max(shift.psi for shift in same.columns.values()) < 0.05
    assert same.score is not None
    assert same.score.psi < 0.05
    moved = drift(reference, pd.DataFrame({"Charges": TRAINED[:1000] + 2}), np.full(1000, 0.01))
    assert moved.columns["Charges"].psi > 1
    assert moved.columns["Contract"].psi > 1
    assert moved.score is not None
    assert moved.score.psi > 1


def test_summary_of_a_column_is_small_and_counts_every_row() -> None:
    """Percentiles of a large month, missing ones apart; a flag has two bins at most."""
    values = np.where(np.arange(250_000) % 4 == 0, math.nan, np.resize(TRAINED, 250_000))
    document = columns_document(a_frame(values, ["a"] * 250_000), SCHEMA)
    assert len(document["Charges"]["edges"]) == 99
    assert document["Charges"]["missing"] == pytest.approx(0.25, abs=0.01)
    assert sum(document["Charges"]["shares"]) == pytest.approx(1)
    assert document["Charges"]["rows"] <= 100_000
    assert summarise_numbers(np.array([0.0, 1.0] * 50)).shares == (0.5, 0.5, 0.0)


@pytest.mark.parametrize(
    "document",
    [
        3,
        {},
        {"format": 2},
        {"format": 1},
        {"format": 1, "columns": {"a": 3}, "score": None},
        {"format": 1, "columns": {}, "score": {"rows": 1, "missing": 0, "edges": [1, 2], "shares": [1]}},
    ],
)
def test_anything_else_than_a_reference_is_refused(document: object) -> None:
    """With a sentence."""
    with pytest.raises(ValueError, match=r"reference\.json (has format|cannot be read)"):
        parse_reference(json.dumps(document))
