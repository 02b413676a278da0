"""Columns that tell the label by themselves."""

import math

import numpy as np
import pandas as pd
import pytest

from pipelines.evidence.leaks import feature_aucs
from pipelines.schema import Kind
from tests.unit.pipelines.builders import a_schema
from tests.unit.pipelines.predictions import scored

ROWS = 400
SCORES, LABELS = scored(ROWS, seed=2)
DRAW = np.random.default_rng(3)


def auc_of(values: object, kind: Kind, labels: np.ndarray = LABELS) -> float:
    """The area of one column."""
    return feature_aucs(pd.DataFrame({"column": values}), labels, a_schema(column=kind))["column"]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (LABELS.astype("float64"), Kind.NUMERIC),
        (-LABELS + DRAW.normal(0, 0.1, ROWS), Kind.NUMERIC),
        (np.where(LABELS == 1, DRAW.random(ROWS), math.nan), Kind.NUMERIC),
        (np.where(LABELS == 0, DRAW.random(ROWS), math.nan), Kind.NUMERIC),
        (pd.Series(np.where(LABELS == 1, "left", "stayed"), dtype="str"), Kind.TEXT),
        (pd.Series([f"reason {n % 5}" if left else math.nan for n, left in enumerate(LABELS)], dtype="str"), Kind.TEXT),
    ],
    ids=["label", "reversed with noise", "date of leaving", "filled in for those who stay", "label as text", "reason of leaving"],
)
def test_leak_is_nearly_perfect(values: object, kind: Kind) -> None:
    """Whatever form it takes."""
    assert auc_of(values, kind) > 0.99


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (DRAW.random(ROWS), Kind.NUMERIC),
        (pd.Series([f"customer {number}" for number in range(ROWS)], dtype="str"), Kind.TEXT),
        (pd.Series(DRAW.choice(list("abcdefgh"), ROWS), dtype="str"), Kind.TEXT),
    ],
    ids=["noise", "an id", "noise as text"],
)
def test_column_that_says_nothing_is_near_one_half(values: object, kind: Kind) -> None:
    """Also a text that occurs once, which would tell everything if it were allowed to tell about itself."""
    assert auc_of(values, kind) == pytest.approx(0.5, abs=0.08)


def test_honest_column_is_what_its_area_is() -> None:
    """A good predictor is not a leak."""
    assert 0.6 < auc_of(SCORES, Kind.NUMERIC) < 0.9


def test_twenty_best_columns_are_reported_in_order() -> None:
    """Five hundred columns would make a long document."""
    frame = pd.DataFrame({f"c{number}": SCORES + DRAW.normal(0, number, ROWS) for number in range(30)})
    found = feature_aucs(frame, LABELS, a_schema(**dict.fromkeys(frame, Kind.NUMERIC)))
    assert len(found) == 20
    assert next(iter(found)) == "c0"
    assert list(found.values()) == sorted(found.values(), reverse=True)


def test_large_months_are_looked_at_in_part() -> None:
    """A leak does not hide there."""
    labels = np.arange(250_001) % 2
    assert auc_of(labels.astype("float64"), Kind.NUMERIC, labels) == 1.0
