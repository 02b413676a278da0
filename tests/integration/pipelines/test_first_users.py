"""The drift of the first users' three months: what the demonstration promises, held against twenty seeds."""

from collections.abc import Sequence

import pytest

from pipelines.errors import BadDrop
from pipelines.parameters import TrainingSettings
from tests.integration.pipelines.churn_models import Month, a_month
from tests.integration.pipelines.judged_months import Story, a_policy
from tests.unit.pipelines.builders import read
from trainer_daemon.demo_data import DRIFT, HEADER, monthly_drop
from trainer_daemon.policy.observations import Verdict

MONTHS = tuple(DRIFT)


BY_DEFAULT = TrainingSettings()
TOLD = TrainingSettings(estimator="logistic_regression")
"""To use what `auto`, the default, chooses in every month of every seed; cross-validating costs ten times what fitting does."""


def months_of(seed: int, training: TrainingSettings = BY_DEFAULT, *, periods: Sequence[str] = MONTHS) -> dict[str, Month]:
    """Each of the three months, or of some, trained."""
    return {period: a_month(monthly_drop(drift=DRIFT[period], seed=seed).encode(), training=training) for period in periods}


def promoted(candidate: Month, champion: Month | None) -> bool:
    """What the default policy decides."""
    story = Story(policy=a_policy(), champion=champion, version="0" if champion else "")
    return story.judge(candidate, "2025-06").verdict is Verdict.PROMOTE


@pytest.mark.parametrize("group", range(4))
def test_later_candidates_beat_the_stale_champion(group: int) -> None:
    """In at least four of five seeds of every group, each month's candidate satisfies the default policy.

    The very first seed shows which estimator the default chooses; the others are told.
    """
    wins = dict.fromkeys(MONTHS, 0)
    for seed in range(5 * group, 5 * group + 5):
        months = months_of(seed, TOLD if seed else BY_DEFAULT)
        assert {month.trained.estimator for month in months.values()} == {TOLD.estimator}
        champion = None
        for period in MONTHS:
            if promoted(months[period], champion):
                wins[period] += 1
                champion = months[period]
    assert all(count >= 4 for count in wins.values()), wins


def test_first_model_becomes_wrong_about_later_months() -> None:
    """The March model's accuracy falls from about three quarters to about two fifths, while a new model's does not."""
    march, june = months_of(99, periods=("2025-03", "2025-06")).values()
    assert march.trained.estimator == june.trained.estimator == TOLD.estimator
    assert march.metrics["accuracy"] == pytest.approx(0.75, abs=0.07)
    assert june.metrics_of(march)["accuracy"] == pytest.approx(0.41, abs=0.09)
    assert june.metrics["accuracy"] > 0.75


@pytest.mark.parametrize(("period", "rate"), [("2025-03", 0.249), ("2025-05", 0.526), ("2025-06", 0.782)])
def test_churn_rises_as_it_did(period: str, rate: float) -> None:
    """The months' churn rates are those of the first users."""
    labels = read(monthly_drop(drift=DRIFT[period], seed=1, rows=20_000).encode()).table["Churn"].to_pylist()
    assert labels.count("1") / len(labels) == pytest.approx(rate, abs=0.02)


def test_generated_month_is_the_same_for_equal_arguments() -> None:
    """A re-upload of the demonstration is identical, another seed is not."""
    assert monthly_drop(drift=0.5, seed=1) == monthly_drop(drift=0.5, seed=1)
    assert len({monthly_drop(drift=0.5, seed=seed) for seed in range(5)}) == 5
    assert monthly_drop(drift=0.5, seed=1).splitlines()[0] == HEADER


def test_month_without_rows_is_a_bad_drop() -> None:
    """A month of nobody is a header."""
    with pytest.raises(BadDrop, match="a header but no rows"):
        read(monthly_drop(drift=0.0, seed=1, rows=0).encode())
