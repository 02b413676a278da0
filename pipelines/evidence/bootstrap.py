"""How sure a difference between two models is: the paired bootstrap.

Customers are drawn with replacement, as many as there are, and both models are scored on the same draw; over many draws
the differences spread as they would over other months' customers (Efron and Tibshirani, An Introduction to the
Bootstrap, 1993, chapters 6 and 13). All metrics are resampled together, in chunks whose size depends on the number of
rows alone, so that equal input gives equal output whatever the machine.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from pipelines.evidence.weighted import NAMES, WeightedMetrics

_RESAMPLES, _RESAMPLES_LARGE, _ROWS_LARGE = 2000, 1000, 200_000
_CELLS_MAX = 1 << 17
_THREADED_ROWS_MIN = 20_000
_THREADS = 2
_LEVELS = np.linspace(0, 1, 201)
_INTERVAL = (0.025, 0.975)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two models on the same rows.

    Attributes:
        labels: 0/1, `(rows,)`.
        candidate: The new model's probabilities of label 1, float64, `(rows,)`.
        champion: The other's.
        units: Integers from 0 up that say whose row each one is, `(rows,)`: rows of one customer are drawn together;
            None when every row is somebody else's.
    """

    labels: np.ndarray
    candidate: np.ndarray
    champion: np.ndarray
    units: np.ndarray | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A metric of the candidate minus the champion's.

    Attributes:
        observed: On the rows themselves; None when either is not defined.
        interval: What 95 % of the resamples lie in; None when the metric was defined in none of them.
        quantiles: Of the resamples that define it, at 0, 0.5, 1, … 100 %, `(201,)`: enough to ask later how probable any
            gain is.
        defined: Share of the resamples that define it.
    """

    observed: float | None
    interval: tuple[float, float] | None
    quantiles: np.ndarray
    defined: float


def resamples_for(rows: int) -> int:
    """How many resamples are drawn: fewer where each costs a hundredth of a second, and rows make up for it."""
    return _RESAMPLES if rows <= _ROWS_LARGE else _RESAMPLES_LARGE


def differences(pair: Pair, *, seed: int, resamples: int) -> Mapping[str, Difference]:
    """The difference in every metric, and its distribution over resamples of the rows.

    Args:
        pair: Both models' predictions.
        seed: Equal seeds draw equal resamples.
        resamples: How many.
    """
    both = (WeightedMetrics(pair.candidate, pair.labels), WeightedMetrics(pair.champion, pair.labels))
    once = np.ones((1, len(pair.labels)))
    observed = both[0].under(once)[0] - both[1].under(once)[0]
    resampled = _resampled(both, pair, seed=seed, resamples=resamples)
    return {name: _difference(observed[column], resampled[:, column]) for column, name in enumerate(NAMES)}


def _resampled(both: tuple[WeightedMetrics, WeightedMetrics], pair: Pair, *, seed: int, resamples: int) -> np.ndarray:
    """float64, `(resamples, metrics)`."""
    rows = len(pair.labels)
    size = max(1, _CELLS_MAX // rows)
    sizes = [min(size, resamples - start) for start in range(0, resamples, size)]

    def chunk(number: int) -> np.ndarray:
        draw = np.random.Generator(np.random.SFC64([seed, number]))  # a third faster here than the default
        weights = _drawn(pair, draw, sizes[number])
        difference: np.ndarray = both[0].under(weights) - both[1].under(weights)
        return difference

    if rows < _THREADED_ROWS_MIN:
        return np.concatenate([chunk(number) for number in range(len(sizes))])
    with ThreadPoolExecutor(_THREADS) as threads:  # numpy works without the interpreter's lock
        return np.concatenate(list(threads.map(chunk, range(len(sizes)))))


def _drawn(pair: Pair, draw: np.random.Generator, times: int) -> np.ndarray:
    """How often each row is drawn, integers, `(times, rows)`."""
    units = len(pair.labels) if pair.units is None else int(pair.units.max()) + 1
    chosen = draw.integers(0, units, (times, units))
    chosen += np.arange(times)[:, None] * units
    counts: np.ndarray = np.bincount(chosen.ravel(), minlength=times * units).reshape(times, units)
    return counts if pair.units is None else counts.take(pair.units, axis=1)


def _difference(observed: float, resampled: np.ndarray) -> Difference:
    known = resampled[np.isfinite(resampled)]
    interval = tuple(float(edge) for edge in np.quantile(known, _INTERVAL)) if len(known) else None
    return Difference(
        observed=float(observed) if np.isfinite(observed) else None,
        interval=(interval[0], interval[1]) if interval else None,
        quantiles=np.quantile(known, _LEVELS) if len(known) else np.empty(0),
        defined=len(known) / len(resampled),
    )
