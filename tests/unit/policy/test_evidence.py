"""Reading the evidence of format 2, and asking how probable a gain is."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer_daemon.policy.evidence import Difference, Evidence
from trainer_daemon.policy.observations import parse_evaluation

DOCUMENT: dict[str, Any] = {
    "format": 2,
    "run_key": "k",
    "attempt": 1,
    "holdout": {"rows": 200, "positives": 50},
    "candidate": {"metrics": {"roc_auc": 0.8}},
    "champion": {"version": "3", "metrics": {"roc_auc": 0.7}},
    "evaluated_at": "2025-04-03T02:10:00+00:00",
    "differences": {"metrics": {"roc_auc": {"quantiles": [-0.1, 0.0, 0.1, 0.2, 0.3], "defined": 1.0}}},
    "slices": {
        "found": [
            {"column": "Contract", "value": "a", "rows": 90, "candidate": {"f1": None, "brier": 0.2}, "champion": {"brier": 0.1}}
        ],
        "absent": ["Region"],
        "min_rows": 50,
    },
    "drift": {"columns": {"Tenure": {"psi": 0.3}}, "score": {"psi": 0.1}, "error": ""},
    "feature_auc": {"Tenure": 0.75},
}


def test_evidence_is_read() -> None:
    """All of it."""
    evidence = parse_evaluation(DOCUMENT).evidence
    assert evidence.is_recorded
    assert evidence.evaluated_at is not None
    assert evidence.evaluated_at.isoformat() == DOCUMENT["evaluated_at"]
    assert evidence.differences == {"roc_auc": Difference(quantiles=(-0.1, 0.0, 0.1, 0.2, 0.3), defined=1.0)}
    assert evidence.slices is not None
    assert [(entry.column, entry.candidate, entry.champion) for entry in evidence.slices.found] == [
        ("Contract", {"brier": 0.2}, {"brier": 0.1})
    ]
    assert (evidence.slices.absent, evidence.slices.min_rows) == (("Region",), 50)
    assert evidence.drift is not None
    assert (evidence.drift.columns, evidence.drift.score, evidence.drift.error) == ({"Tenure": 0.3}, 0.1, "")
    assert evidence.feature_auc == {"Tenure": 0.75}


def test_format_one_has_no_evidence() -> None:
    """It is still read, and rules on evidence then fail."""
    assert parse_evaluation(DOCUMENT | {"format": 1}).evidence == Evidence()


def test_first_model_has_neither_differences_nor_drift() -> None:
    """Null means that there was nobody to compare with."""
    evidence = parse_evaluation(DOCUMENT | {"champion": None, "differences": None, "drift": None}).evidence
    assert (evidence.differences, evidence.drift) == ({}, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 3},
        {"format": "2"},
        {"evaluated_at": "2025-04-03T02:10:00"},
        {"evaluated_at": "yesterday"},
        {"differences": {}},
        {"differences": {"metrics": {"roc_auc": {"quantiles": [0.2, 0.1], "defined": 1.0}}}},
        {"differences": {"metrics": {"roc_auc": {"quantiles": ["0.1"], "defined": 1.0}}}},
        {"differences": {"metrics": {"roc_auc": {"quantiles": [0.1], "defined": float("nan")}}}},
        {"slices": None},
        {"drift": {"columns": {"Tenure": {"psi": float("nan")}}, "score": None, "error": ""}},
        {"feature_auc": 0.5},
    ],
)
def test_evidence_that_cannot_be_read_is_no_evaluation(changes: dict[str, object]) -> None:
    """Half of it could promote what the other half would have refused."""
    with pytest.raises(ValueError, match=r"evaluation\.json"):
        parse_evaluation(DOCUMENT | changes)


@pytest.mark.parametrize(
    ("minimum", "higher", "probability"),
    [
        (-0.2, True, 1.0),
        (-0.05, True, 0.75),
        (0.0, True, 0.5),
        (0.25, True, 0.0),
        (0.3, True, 0.0),
        (0.0, False, 0.0),
        (-0.05, False, 0.25),
        (-0.35, False, 1.0),
    ],
)
def test_probability_is_read_off_the_quantiles(minimum: float, higher: bool, probability: float) -> None:  # noqa: FBT001 - a case
    """Cautiously: the step that holds the minimum is no gain; the other way round where lower is better."""
    difference = Difference(quantiles=(-0.1, 0.0, 0.1, 0.2, 0.3), defined=1.0)
    assert difference.probability_of_gain(minimum, higher_is_better=higher) == pytest.approx(probability)


def test_resamples_without_the_metric_are_no_gain() -> None:
    """A metric that half of the resamples define is gained in at most half of them."""
    assert Difference(quantiles=(0.1, 0.2), defined=0.5).probability_of_gain(0, higher_is_better=True) == 0.5
    assert Difference(quantiles=(), defined=0.0).probability_of_gain(0, higher_is_better=True) == 0.0


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=50), st.floats(-1, 1), st.floats(0, 1), st.booleans())
def test_more_gain_is_never_more_probable(values: list[float], minimum: float, more: float, higher: bool) -> None:  # noqa: FBT001 - a case
    """And no probability leaves its range, nor exceeds the share of quantiles above by more than a step."""
    difference = Difference(quantiles=tuple(sorted(values)), defined=1.0)
    low, high = (difference.probability_of_gain(bound, higher_is_better=higher) for bound in (minimum, minimum + more))
    assert 0 <= high <= low <= 1
    share = sum((value if higher else -value) > minimum for value in values) / len(values)
    assert low == pytest.approx(share, abs=1.01 / (len(values) - 1))
    assert low <= share + 1e-9 or share == 1
