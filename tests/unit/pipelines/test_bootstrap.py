"""The paired bootstrap: reproducible, closed for equal models, and as wide as theory says."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from scipy import stats

from pipelines.evidence.bootstrap import Pair, _drawn, differences, resamples_for
from tests.unit.pipelines.predictions import Predictions, predictions, scored


def a_pair(rows: int = 300, *, seed: int = 1, noise: float = 1.0, units: np.ndarray | None = None) -> Pair:
    """A good model and a worse one on the same rows."""
    candidate, labels = scored(rows, seed=seed)
    errors = np.random.default_rng(seed + 1).normal(0, noise, rows)
    champion = 1 / (1 + np.exp(-np.log(candidate / (1 - candidate)) - errors))
    return Pair(labels=labels, candidate=candidate, champion=champion, units=units)


@given(predictions())
@settings(max_examples=30)
def test_equal_models_never_differ(given_rows: Predictions) -> None:
    """Whatever is drawn, both models are scored on the same draw."""
    scores, labels = given_rows
    for difference in differences(Pair(labels=labels, candidate=scores, champion=scores.copy()), seed=1, resamples=50).values():
        assert difference.observed in {0.0, None}
        assert not difference.quantiles.any()


def test_equal_seeds_give_equal_intervals() -> None:
    """A run that is repeated writes the same document; another seed draws other customers."""
    first, again, other = (differences(a_pair(), seed=seed, resamples=200)["log_loss"] for seed in (1, 1, 2))
    assert first.quantiles.tolist() == again.quantiles.tolist()
    assert first.quantiles.tolist() != other.quantiles.tolist()


def test_interval_of_a_mean_is_that_of_theory() -> None:
    """The Brier score's difference is a mean over rows, whose standard error is known."""
    pair = a_pair(2000)
    per_row = (pair.candidate - pair.labels) ** 2 - (pair.champion - pair.labels) ** 2
    found = differences(pair, seed=3, resamples=2000)["brier"]
    error = per_row.std() / math.sqrt(len(per_row))
    assert found.observed == pytest.approx(per_row.mean())
    assert found.interval == pytest.approx(stats.norm.interval(0.95, per_row.mean(), error), abs=0.15 * error)
    assert found.defined == 1.0


def test_quantiles_rise_and_surround_what_was_observed() -> None:
    """Later questions are answered from them."""
    for difference in differences(a_pair(), seed=1, resamples=500).values():
        assert len(difference.quantiles) == 201
        assert (np.diff(difference.quantiles) >= 0).all()
        assert difference.observed is not None
        assert difference.quantiles[0] <= difference.observed <= difference.quantiles[-1]


def test_rows_of_one_customer_are_drawn_together() -> None:
    """Ten copies of every row say no more than the rows themselves, when they are known to be the same customers'."""
    once = a_pair(200)
    units = np.tile(np.arange(200), 10)
    copied = {name: np.tile(getattr(once, name), 10) for name in ("labels", "candidate", "champion")}

    def width(pair: Pair) -> float:
        interval = differences(pair, seed=1, resamples=500)["log_loss"].interval
        assert interval is not None
        return interval[1] - interval[0]

    assert width(Pair(**copied, units=units)) == pytest.approx(width(once), rel=0.2)
    assert width(Pair(**copied)) == pytest.approx(width(once) / math.sqrt(10), rel=0.2)


def test_as_many_customers_are_drawn_as_there_are() -> None:
    """And all rows of one as often as each other."""
    weights = _drawn(a_pair(90, units=np.arange(90) // 3), np.random.default_rng(1), 20)
    assert weights.shape == (20, 90)
    assert (weights[:, ::3].sum(axis=1) == 30).all()
    assert (weights[:, ::3] == weights[:, 2::3]).all()
    assert len({tuple(row) for row in weights.tolist()}) == 20


def test_resamples_that_lack_a_class_are_counted() -> None:
    """With one customer who left, a third of the resamples has none, and knows no area under a curve."""
    labels = np.zeros(50, dtype=int)
    labels[0] = 1
    draw = np.random.default_rng(1)
    found = differences(Pair(labels=labels, candidate=draw.random(50), champion=draw.random(50)), seed=1, resamples=2000)
    assert found["roc_auc"].defined == pytest.approx(1 - (1 - 1 / 50) ** 50, abs=0.04)
    assert found["log_loss"].defined == 1.0


def test_metric_that_no_resample_defines_has_no_interval() -> None:
    """Nothing is made up."""
    never = differences(
        Pair(labels=np.zeros(9, dtype=int), candidate=np.full(9, 0.1), champion=np.full(9, 0.2)), seed=1, resamples=20
    )
    assert (never["roc_auc"].observed, never["roc_auc"].interval, never["roc_auc"].defined) == (None, None, 0.0)
    assert never["roc_auc"].quantiles.tolist() == []


def test_threads_do_not_change_the_result() -> None:
    """Large months are resampled on two threads, with draws that do not depend on their order."""
    pair = a_pair(25_000)
    first, again = (differences(pair, seed=1, resamples=20)["roc_auc"].quantiles for _ in range(2))
    assert first.tolist() == again.tolist()


def test_a_month_gets_two_thousand_resamples_and_a_huge_one_half_as_many() -> None:
    """Ordinary months have the resolution that a confidence of 95 % needs."""
    assert (resamples_for(200), resamples_for(100_000), resamples_for(10**6)) == (2000, 2000, 1000)
