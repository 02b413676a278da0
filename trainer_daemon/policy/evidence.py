"""What format 2 of `evaluation.json` says besides metrics: how sure differences are, slices, drift, leaks. Pure."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A metric of the candidate minus the champion's, as it spreads over resamples of the held-out rows.

    Attributes:
        quantiles: At equal steps from 0 to 100 %, rising; empty when no resample defines the metric.
        defined: Share of the resamples that define it.
    """

    quantiles: tuple[float, ...]
    defined: float

    def probability_of_gain(self, minimum: float, *, higher_is_better: bool) -> float:
        """The share of resamples in which the candidate is better by more than the minimum, to a step of the quantiles.

        Resamples without the metric count as no gain, and so does the step that holds the minimum.
        """
        gains = self.quantiles if higher_is_better else tuple(-value for value in reversed(self.quantiles))
        steps = len(gains) - 1
        if steps < 1:
            return 0.0
        return self.defined * max(0.0, 1 - bisect_right(gains, minimum) / steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceScores:
    """Candidate and champion on the held-out rows with one value of one column."""

    column: str
    value: str
    rows: int
    candidate: Mapping[str, float]
    champion: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slices:
    """The slices that were large enough.

    Attributes:
        absent: Configured columns that the drop did not have.
        min_rows: What was large enough.
    """

    found: tuple[SliceScores, ...]
    absent: tuple[str, ...]
    min_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftScores:
    """Population stability index of the month against the champion's training data.

    Attributes:
        columns: Per feature of the champion.
        score: Of its scores; None when those were not remembered.
        error: Why nothing could be compared; empty when it could.
    """

    columns: Mapping[str, float] = field(default_factory=dict)
    score: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything besides metrics; what was not looked at is None, as all of it in format 1.

    Attributes:
        is_recorded: Whether the document's format has evidence at all.
        evaluated_at: With a time zone.
        differences: Per metric; empty without a champion that could be scored.
        feature_auc: Area under the ROC curve of single columns, highest first.
    """

    is_recorded: bool = False
    evaluated_at: datetime | None = None
    differences: Mapping[str, Difference] = field(default_factory=dict)
    slices: Slices | None = None
    drift: DriftScores | None = None
    feature_auc: Mapping[str, float] | None = None


def parse_evidence(document: Mapping[str, Any]) -> Evidence:
    """Read what format 2 adds.

    Raises:
        KeyError: A part is missing.
        TypeError, ValueError, AttributeError: A part is something else than it should be.
    """
    compared, drift = document["differences"], document["drift"]
    return Evidence(
        is_recorded=True,
        evaluated_at=_moment(document["evaluated_at"]),
        differences={name: _difference(entry) for name, entry in compared["metrics"].items()} if compared is not None else {},
        slices=_slices(document["slices"]),
        drift=_drift(drift) if drift is not None else None,
        feature_auc=numbers(document["feature_auc"]),
    )


def numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """Only numbers that can be compared; what could not be computed is absent, so that rules on it fail closed."""
    return {name: float(value) for name, value in values.items() if _is_number(value)}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _number(value: object) -> float:
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        msg = f"{value!r} is not a number"
        raise ValueError(msg)
    return float(value)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        msg = f"evaluated_at {text} has no time zone"
        raise ValueError(msg)
    return moment


def _difference(entry: Mapping[str, Any]) -> Difference:
    quantiles: Sequence[Any] = entry["quantiles"]
    if not all(map(_is_number, quantiles)) or list(quantiles) != sorted(quantiles):
        msg = "quantiles of a difference are not rising numbers"
        raise ValueError(msg)
    return Difference(quantiles=tuple(map(float, quantiles)), defined=_number(entry["defined"]))


def _slices(document: Mapping[str, Any]) -> Slices:
    found = tuple(
        SliceScores(
            column=str(entry["column"]),
            value=str(entry["value"]),
            rows=int(entry["rows"]),
            candidate=numbers(entry["candidate"]),
            champion=numbers(entry["champion"]),
        )
        for entry in document["found"]
    )
    return Slices(found=found, absent=tuple(map(str, document["absent"])), min_rows=int(document["min_rows"]))


def _drift(document: Mapping[str, Any]) -> DriftScores:
    score = document["score"]
    return DriftScores(
        columns={name: _number(shift["psi"]) for name, shift in document["columns"].items()},
        score=_number(score["psi"]) if score is not None else None,
        error=str(document["error"]),
    )
