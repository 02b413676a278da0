"""DeLong's and McNemar's tests, held against published results and their definitions."""

import math

import numpy as np
import pytest
from hypothesis import given
from scipy import stats
from sklearn.metrics import roc_auc_score

from pipelines.evidence.delong import delong
from pipelines.evidence.mcnemar import discordant, mcnemar
from pipelines.evidence.ranks import midranks, roc_auc
from tests.unit.pipelines.predictions import Predictions, predictions, scored

# DeLong, DeLong and Clarke-Pearson 1988, as in the documentation of SAS PROC LOGISTIC: albumin, total protein, K-G score, outcome
OVARIAN = np.array(
    [
        [3.0, 5.8, 10, 0], [3.2, 6.3, 5, 1], [3.9, 6.8, 3, 1], [2.8, 4.8, 6, 0], [3.2, 5.8, 3, 1], [0.9, 4.0, 5, 0],
        [2.5, 5.7, 8, 0], [1.6, 5.6, 5, 1], [3.8, 5.7, 5, 1], [3.7, 6.7, 6, 1], [3.2, 5.4, 4, 1], [3.8, 6.6, 6, 1],
        [4.1, 6.6, 5, 1], [3.6, 5.7, 5, 1], [4.3, 7.0, 4, 1], [3.6, 6.7, 4, 0], [2.3, 4.4, 6, 1], [4.2, 7.6, 4, 0],
        [4.0, 6.6, 6, 0], [3.5, 5.8, 6, 1], [3.8, 6.8, 7, 1], [3.0, 4.7, 8, 0], [4.5, 7.4, 5, 1], [3.7, 7.4, 5, 1],
        [3.1, 6.6, 6, 1], [4.1, 8.2, 6, 1], [4.3, 7.0, 5, 1], [4.3, 6.5, 4, 1], [3.2, 5.1, 5, 1], [2.6, 4.7, 6, 1],
        [3.3, 6.8, 6, 0], [1.7, 4.0, 7, 0], [3.7, 6.1, 5, 1], [3.3, 6.3, 7, 1], [4.2, 7.7, 6, 1], [3.5, 6.2, 5, 1],
        [2.9, 5.7, 9, 0], [2.1, 4.8, 7, 1], [2.8, 6.2, 8, 0], [4.0, 7.0, 7, 1], [3.3, 5.7, 6, 1], [3.7, 6.9, 5, 1],
        [3.6, 6.6, 5, 1],
    ]
)  # fmt: skip


@pytest.mark.parametrize(
    ("column", "difference", "error", "chi_square", "p"),
    [(0, 0.0108, 0.0953, 0.0127, 0.9102), (1, -0.0780, 0.1046, 0.5554, 0.4561)],
)
def test_delong_reproduces_the_published_example(
    column: int, difference: float, error: float, chi_square: float, p: float
) -> None:
    """Albumin and total protein against the K-G score: difference, standard error, chi-square and p to four digits."""
    found = delong(OVARIAN[:, column], 10 - OVARIAN[:, 2], OVARIAN[:, 3])
    assert found is not None
    assert found.z is not None
    assert (found.difference, found.standard_error, found.z**2, found.p) == pytest.approx(
        (difference, error, chi_square, p), abs=1.1e-4
    )


def variance_by_definition(first: np.ndarray, second: np.ndarray, labels: np.ndarray) -> float:
    """DeLong's variance of the difference from all pairs of rows."""
    parts = []
    for scores in (first, second):
        left, stayed = scores[labels == 1][:, None], scores[labels == 0][None, :]
        wins = (left > stayed) + 0.5 * (left == stayed)
        parts.append((wins.mean(axis=1), wins.mean(axis=0)))
    over_left, over_stayed = parts[0][0] - parts[1][0], parts[0][1] - parts[1][1]
    return float(over_left.var(ddof=1) / len(over_left) + over_stayed.var(ddof=1) / len(over_stayed))


@pytest.mark.parametrize("digits", [2, 12])
def test_delong_is_its_quadratic_definition(digits: int) -> None:
    """With ties and without."""
    first, labels = scored(120, seed=1)
    first, second = first.round(digits), np.random.default_rng(2).random(120).round(digits)
    found = delong(first, second, labels)
    assert found is not None
    assert found.difference == pytest.approx(roc_auc_score(labels, first) - roc_auc_score(labels, second))
    assert found.standard_error == pytest.approx(math.sqrt(variance_by_definition(first, second, labels)))
    assert found.p == pytest.approx(2 * stats.norm.sf(abs(found.difference) / found.standard_error))


def test_delong_of_equal_models_sees_no_difference() -> None:
    """No variance is no evidence."""
    scores, labels = scored(50, seed=1)
    found = delong(scores, scores, labels)
    assert found is not None
    assert (found.difference, found.standard_error, found.z, found.p) == (0.0, 0.0, None, 1.0)


def test_delong_needs_two_rows_of_each_class() -> None:
    """One row has no variance."""
    assert delong(np.array([0.1, 0.2, 0.3]), np.array([0.3, 0.1, 0.2]), np.array([0, 0, 1])) is None


@given(predictions())
def test_midranks_and_area_are_those_of_scipy_and_scikit_learn(given_rows: Predictions) -> None:
    """Ties share their rank, and count half."""
    scores, labels = given_rows
    assert midranks(scores).tolist() == stats.rankdata(scores).tolist()
    assert roc_auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores))


@pytest.mark.parametrize(
    ("only_first", "only_second", "exact", "mid"),
    [(1, 7, 0.070, 0.039), (6, 16, 0.052, 0.035), (0, 0, 1.0, 1.0)],
)
def test_mcnemar_reproduces_published_examples(only_first: int, only_second: int, exact: float, mid: float) -> None:
    """Airway hyper-responsiveness, and complete response, of Fagerland, Lydersen and Laake 2013."""
    found = discordant(only_first, only_second)
    assert (found.p_exact, found.p_mid) == pytest.approx((exact, mid), abs=5e-4)


def test_mcnemar_is_the_exact_binomial_test() -> None:
    """Whatever the numbers; mid-p is exact minus the probability of what was seen."""
    for only_first, only_second in ((0, 5), (3, 3), (10, 4), (400, 520)):
        found = discordant(only_first, only_second)
        assert found.p_exact == pytest.approx(stats.binomtest(only_first, only_first + only_second).pvalue)
        seen = stats.binom.pmf(only_first, only_first + only_second, 0.5)
        assert found.p_mid == pytest.approx(1 - seen / 2 if only_first == only_second else found.p_exact - seen)


def test_mcnemar_counts_rows_that_only_one_model_decides_rightly() -> None:
    """At one half, and one half itself means leaving."""
    labels = np.array([1, 1, 0, 0, 1])
    first, second = np.array([0.5, 0.2, 0.1, 0.9, 0.8]), np.array([0.4, 0.9, 0.2, 0.3, 0.9])
    found = mcnemar(first, second, labels)
    assert (found.only_first, found.only_second) == (1, 2)
