"""Whether two models decide equally often rightly, from the rows on which one is right and the other is not.

The exact test is the binomial one; the mid-p value counts half of the probability of what was seen, which corrects its
caution: Fagerland, Lydersen and Laake, BMC Medical Research Methodology 13 (2013) 91.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import bdtr

_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class McNemar:
    """The test's result.

    Attributes:
        only_first: Rows that only the first model decides rightly.
        only_second: Rows that only the second one does.
        p_exact: Two-sided, exact conditional test.
        p_mid: The same, mid-p.
    """

    only_first: int
    only_second: int
    p_exact: float
    p_mid: float


def mcnemar(first: np.ndarray, second: np.ndarray, labels: np.ndarray) -> McNemar:
    """Compare decisions at one half.

    Args:
        first: Probabilities of label 1 by one model, `(rows,)`.
        second: Those by the other.
        labels: 0/1, `(rows,)`.
    """
    right = [(scores >= _THRESHOLD) == (labels == 1) for scores in (first, second)]
    return discordant(int(np.sum(right[0] & ~right[1])), int(np.sum(right[1] & ~right[0])))


def discordant(only_first: int, only_second: int) -> McNemar:
    """The test for numbers of discordant rows."""
    fewer, total = min(only_first, only_second), only_first + only_second
    if not total:
        return McNemar(only_first=0, only_second=0, p_exact=1.0, p_mid=1.0)
    until, before = _binomial(fewer, total), _binomial(fewer - 1, total)
    seen = until - before
    return McNemar(
        only_first=only_first,
        only_second=only_second,
        p_exact=min(1.0, 2 * until),
        p_mid=1 - seen / 2 if only_first == only_second else 2 * until - seen,
    )


def _binomial(successes: int, trials: int) -> float:
    """Probability of at most so many successes with probability one half each."""
    return float(bdtr(successes, trials, 0.5)) if successes >= 0 else 0.0
