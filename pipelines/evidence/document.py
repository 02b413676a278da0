"""The evidence as JSON: the parts of `evaluation.json` that format 2 adds to the metrics.

```
{"evaluated_at": "2025-04-03T02:10:00+00:00",
 "differences": {"resamples": 2000, "units": 200,
                 "metrics": {"log_loss": {"observed": -0.03, "interval": [-0.05, -0.01], "defined": 1.0,
                                          "quantiles": [201 numbers, at 0, 0.5, … 100 %]}, …},
                 "delong": {"difference", "standard_error", "z", "p"} | null,
                 "mcnemar": {"only_first", "only_second", "p_exact", "p_mid"}} | null,
 "slices": {"columns": […], "absent": […], "too_small": 3, "min_rows": 50,
            "found": [{"column", "value", "rows", "positives", "candidate": {metrics}, "champion": {metrics}}, …]},
 "drift": {"columns": {"Tenure": {"psi", "psi_without_drift", "ks"}, …}, "score": {…} | null, "error": ""} | null,
 "calibration": {"candidate": [[mean probability, share of churn, rows], …], "champion": […] | null},
 "feature_auc": {"Tenure": 0.74, …}}
```

A difference is the candidate's metric minus the champion's. `differences` and `drift` are null without a champion that
could be scored.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from pipelines.evaluation import ChampionScores, Scores
from pipelines.evidence.bootstrap import Difference, Pair, differences, resamples_for
from pipelines.evidence.delong import delong
from pipelines.evidence.leaks import feature_aucs
from pipelines.evidence.mcnemar import mcnemar
from pipelines.evidence.slices import ScoredRows, Slices, SliceSettings, slices
from pipelines.progress import timed
from pipelines.schema import Schema

_DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """Everything that the evidence is made of.

    Attributes:
        rows: Typed held-out rows, `(rows, columns)`.
        schema: What their columns are.
        labels: int64 0/1, `(rows,)`.
        champion: None when there is none.
        at: When the models were scored, with a time zone.
    """

    rows: pd.DataFrame
    schema: Schema
    labels: np.ndarray
    candidate: Scores
    champion: ChampionScores | None
    at: datetime

    @property
    def other(self) -> Scores | None:
        """The champion's scores, when it could be scored."""
        return self.champion.scores if self.champion else None


def evidence_document(evaluated: Evaluated, *, seed: int, settings: SliceSettings) -> dict[str, Any]:
    """The additional parts.

    Args:
        evaluated: The models on the held-out rows.
        seed: Of the bootstrap.
        settings: Which slices to look at.
    """
    other, drift = evaluated.other, evaluated.champion.drift if evaluated.champion else None
    with timed("comparing with the champion"):
        compared = _differences(evaluated, other, seed) if other else None
    with timed("looking at slices"):
        parts = slices(_scored(evaluated, other), settings)
    return {
        "evaluated_at": evaluated.at.isoformat(timespec="seconds"),
        "differences": compared,
        "slices": {**_slices_document(parts), "min_rows": settings.min_rows},
        "drift": _rounded(asdict(drift)) if drift else None,
        "calibration": {
            "candidate": _rounded(evaluated.candidate.calibration.tolist()),
            "champion": _rounded(other.calibration.tolist()) if other else None,
        },
        "feature_auc": _rounded(dict(feature_aucs(evaluated.rows, evaluated.labels, evaluated.schema))),
    }


def _scored(evaluated: Evaluated, other: Scores | None) -> ScoredRows:
    return ScoredRows(
        frame=evaluated.rows,
        schema=evaluated.schema,
        labels=evaluated.labels,
        candidate=evaluated.candidate.probabilities,
        champion=other.probabilities if other else None,
    )


def _differences(evaluated: Evaluated, other: Scores, seed: int) -> dict[str, Any]:
    units = _units(evaluated)
    pair = Pair(labels=evaluated.labels, candidate=evaluated.candidate.probabilities, champion=other.probabilities, units=units)
    resamples = resamples_for(len(pair.labels))
    test = delong(pair.candidate, pair.champion, pair.labels)
    found = differences(pair, seed=seed, resamples=resamples)
    return {
        "resamples": resamples,
        "units": len(pair.labels) if units is None else int(units.max()) + 1,
        "metrics": {name: _difference_document(difference) for name, difference in found.items()},
        "delong": _rounded(asdict(test)) if test else None,
        "mcnemar": _rounded(asdict(mcnemar(pair.candidate, pair.champion, pair.labels))),
    }


def _units(evaluated: Evaluated) -> np.ndarray | None:
    """Whose row each one is, when customers are known and some have several."""
    if not evaluated.schema.entity_column:
        return None
    units, customers = pd.factorize(evaluated.rows[evaluated.schema.entity_column])
    return units if len(customers) < len(units) else None


def _difference_document(difference: Difference) -> dict[str, Any]:
    return {
        "observed": _rounded(difference.observed),
        "interval": _rounded(difference.interval),
        "defined": difference.defined,
        "quantiles": _rounded(difference.quantiles.tolist()),
    }


def _slices_document(found: Slices) -> dict[str, Any]:
    return {
        "columns": list(found.columns),
        "absent": list(found.absent),
        "too_small": found.too_small,
        "found": [_rounded(asdict(entry)) for entry in found.found],
    }


def _rounded(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The same with numbers of six significant digits, at any depth."""
    match value:
        case float():
            return float(f"{value:.{_DIGITS}g}")
        case Mapping():
            return {name: _rounded(item) for name, item in value.items()}
        case list() | tuple():
            return [_rounded(item) for item in value]
        case _:
            return value
