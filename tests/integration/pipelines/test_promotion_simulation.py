"""What `confidence` promises, held against many simulated months: statistics and rule together, without any model or file."""

import numpy as np
import pytest
from scipy import stats

from pipelines.evidence.bootstrap import Pair, differences
from pipelines.evidence.ranks import roc_auc
from pipelines.evidence.weighted import metrics_of
from tests.builders import a_champion, an_evaluation
from trainer_daemon.policy.evidence import Difference, Evidence
from trainer_daemon.policy.observations import Evaluation, Verdict
from trainer_daemon.policy.promotion import Case, PromotionPolicy, judge

RESAMPLES = 200
MONTHS = 1000


def a_month(draw: np.random.Generator, rows: int, *, candidate_error: float, champion_error: float) -> Pair:
    """Two models that know the customers' real risk up to errors of their own."""
    logits = draw.normal(-1, 1.2, rows)
    errors = (draw.normal(0, scale, rows) for scale in (candidate_error, champion_error))
    candidate, champion = (1 / (1 + np.exp(-logits - error)) for error in errors)
    return Pair(labels=(draw.random(rows) < 1 / (1 + np.exp(-logits))).astype(int), candidate=candidate, champion=champion)


def evaluation_of(pair: Pair, seed: int) -> Evaluation:
    """What the daemon reads of a month."""
    found = {
        name: Difference(quantiles=tuple(difference.quantiles.tolist()), defined=difference.defined)
        for name, difference in differences(pair, seed=seed, resamples=RESAMPLES).items()
    }
    metrics = [metrics_of(scores, pair.labels) for scores in (pair.candidate, pair.champion)]
    candidate, champion = ({name: value for name, value in each.items() if value is not None} for each in metrics)
    return an_evaluation(candidate=candidate, champion=champion, evidence=Evidence(is_recorded=True, differences=found))


def promoted(evaluation: Evaluation, **policy: object) -> bool:
    """Whether a policy of nothing but gain and confidence promotes."""
    case = Case(candidate_version="2", candidate_period="2025-03", evaluation=evaluation, champion=a_champion())
    return judge(case, PromotionPolicy(**policy)).verdict is Verdict.PROMOTE  # type: ignore[arg-type]  # some fields


def test_equally_good_candidates_are_promoted_in_one_of_twenty_months() -> None:
    """Without a real difference, confidence = 0.95 errs in at most 5 % of the months, by log loss and by ROC-AUC."""
    draw = np.random.default_rng(2025)
    wins = {"log_loss": 0, "roc_auc": 0, "unasked": 0}
    for month in range(MONTHS):
        evaluation = evaluation_of(a_month(draw, 250, candidate_error=0.7, champion_error=0.7), month)
        for metric in ("log_loss", "roc_auc"):
            wins[metric] += promoted(evaluation, metric=metric, confidence=0.95)
        wins["unasked"] += promoted(evaluation)
    low, high = stats.binom.ppf([0.001, 0.999], MONTHS, 0.05)
    assert 0.4 * low < wins["log_loss"] <= high, wins
    assert 0.4 * low < wins["roc_auc"] <= high, wins
    assert wins["unasked"] == pytest.approx(MONTHS / 2, rel=0.1)


def test_real_gain_is_promoted_in_most_months() -> None:
    """A candidate that is .03 better in ROC-AUC is recognised on 5,000 rows."""
    draw = np.random.default_rng(30)
    gains, wins = [], 0
    for month in range(30):
        pair = a_month(draw, 5000, candidate_error=0.5, champion_error=0.83)
        gains.append(roc_auc(pair.candidate, pair.labels) - roc_auc(pair.champion, pair.labels))
        wins += promoted(evaluation_of(pair, month), metric="roc_auc", confidence=0.95)
    assert np.mean(gains) == pytest.approx(0.03, abs=0.005)
    assert wins >= 27, wins
