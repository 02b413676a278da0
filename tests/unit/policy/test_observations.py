"""Reading `evaluation.json`."""

import pytest

from trainer_daemon.policy.observations import parse_evaluation

DOCUMENT = {
    "format": 1,
    "run_key": "k",
    "attempt": 2,
    "holdout": {"rows": 200, "positives": 50},
    "candidate": {"metrics": {"roc_auc": 0.8, "f1": None}},
    "champion": {"version": "3", "metrics": {"roc_auc": 0.7}},
}


def test_evaluation_is_read_and_missing_numbers_are_absent() -> None:
    """A metric that is null can then fail its rules."""
    evaluation = parse_evaluation(DOCUMENT)
    assert evaluation.candidate == {"roc_auc": 0.8}
    assert (evaluation.champion_version, evaluation.champion, evaluation.attempt) == ("3", {"roc_auc": 0.7}, 2)


def test_first_model_has_no_champion() -> None:
    """Null means that there was none."""
    assert parse_evaluation(DOCUMENT | {"champion": None}).champion_version == ""


def test_champion_that_could_not_be_scored_keeps_its_error() -> None:
    """The error is evidence too."""
    evaluation = parse_evaluation(DOCUMENT | {"champion": {"version": "3", "error": "a pickle"}})
    assert (evaluation.champion, evaluation.champion_error) == ({}, "a pickle")


@pytest.mark.parametrize(
    "document",
    [
        {},
        DOCUMENT | {"format": 2},
        DOCUMENT | {"format": 3},
        DOCUMENT | {"holdout": None},
        {**DOCUMENT, "candidate": 3},
        DOCUMENT | {"champion": "v3"},
    ],
)
def test_anything_else_is_refused_with_a_sentence(document: dict[str, object]) -> None:
    """Half an evaluation is none."""
    with pytest.raises(ValueError, match=r"evaluation\.json"):
        parse_evaluation(document)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, "0.9"])
def test_values_that_are_no_finite_numbers_are_absent(value: object) -> None:
    """They could be compared, wrongly."""
    assert parse_evaluation(DOCUMENT | {"candidate": {"metrics": {"roc_auc": value}}}).candidate == {}
