"""What the page shows, as values: read from `evaluation.json`, of which any part may be missing or be something else."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")
Points = tuple[tuple[float, float], ...]
LOWER_IS_BETTER = frozenset({"log_loss", "brier", "ece"})
METRICS = ("log_loss", "roc_auc", "average_precision", "brier", "accuracy", "precision", "recall", "f1", "ece")
_POINTS_MAX, _SLICES_MAX, _SHIFTS_MAX = 400, 200, 5
_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How one rule came out.

    Attributes:
        result: `passed`, `failed` or `not_applicable`.
    """

    name: str
    result: str
    sentence: str

    @property
    def is_passed(self) -> bool:
        """Whether it is no reason against the candidate."""
        return self.result != "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What was decided about the run.

    Attributes:
        tone: `good`, `bad` or `waiting`.
    """

    headline: str
    tone: str
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """The metric of one period, at the time when it was judged.

    Attributes:
        version: The candidate's; empty when none was registered.
        became: What came of it, in one word.
        is_champion: Whether it became champion.
    """

    period: str
    version: str
    candidate: float | None
    champion: float | None
    became: str
    is_champion: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What the page is about, besides the evaluation.

    Attributes:
        run: Its name.
        metric: The one that has to improve.
        ruling: None while nothing is decided.
        months: Oldest first; the last one is the run's own.
        link: Its page where it is executed; empty when nobody said where that is.
    """

    run: str
    metric: str = "log_loss"
    ruling: Ruling | None = None
    months: tuple[Month, ...] = ()
    link: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """One model on the held-out rows; whatever the document lacks is empty.

    Attributes:
        roc: False and true positive rate.
        precision_recall: Recall and precision.
        calibration: Mean probability and share of churn, per bin.
        stayed: Rows that stayed, per twentieth of the probability.
        churned: The same of those that churned.
        confusion: Rows by label, then by decision.
    """

    roc: Points = ()
    precision_recall: Points = ()
    calibration: Points = ()
    stayed: tuple[float, ...] = ()
    churned: tuple[float, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two models."""

    name: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    curves: Curves = field(default_factory=Curves)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Both models where a column has one value."""

    column: str
    value: str
    rows: int
    candidate: float | None
    champion: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """How far one column, or the champion's score, is from the champion's training data.

    Attributes:
        psi: Population stability index.
        by_chance: What it would be about without any drift.
        ks: Kolmogorov-Smirnov distance; texts have none.
    """

    name: str
    psi: float
    by_chance: float | None
    ks: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Everything that the page takes from the evaluation.

    Attributes:
        title: Model and period.
        facts: Name and value of what a reader wants to know first.
        features: What the candidate was trained on.
        champion: None when there is none, or when it could not be scored.
        note: What is to be said of the champion.
        intervals: Per metric, what 95 % of the resamples of the difference lie in.
        tests: What DeLong's and McNemar's tests say of the difference, a sentence each.
        slices: By the metric that has to improve, those first where the candidate does worst.
        shifts: The columns that moved most, then the champion's score.
        drift_error: Why nothing can be said of drift; empty when something can, or without a champion.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    features: tuple[str, ...]
    candidate: Side
    champion: Side | None
    note: str
    intervals: Mapping[str, tuple[float, float]]
    tests: tuple[str, ...]
    slices: tuple[Slice, ...]
    shifts: tuple[Shift, ...]
    drift_error: str


def read_contents(document: Mapping[str, Any], metric: str) -> Contents:
    """Whatever can be read of an evaluation; never raises.

    Args:
        document: `evaluation.json`.
        metric: Of the slices.
    """
    calibration: dict[str, Any] = _part(lambda: dict(document["calibration"]), {})
    champion = _part(lambda: _side("champion", document["champion"], calibration), None) if document.get("champion") else None
    return Contents(
        title=f"{document.get('model', 'model')} {document.get('period', '')}".strip(),
        facts=_facts(document),
        features=_part(lambda: tuple(map(str, document["training"]["features"])), ()),
        candidate=_part(lambda: _side("candidate", document["candidate"], calibration), Side(name="candidate")),
        champion=champion if champion and champion.metrics else None,
        note=_part(lambda: _note(document["champion"]), "Nothing is known of the champion."),
        intervals=_part(lambda: _intervals(document["differences"]["metrics"]), {}),
        tests=_tests(document),
        slices=_part(lambda: _slices(document["slices"]["found"], metric), ()),
        shifts=_part(lambda: _shifts(document["drift"]), ()),
        drift_error=_part(lambda: str(document["drift"]["error"] or ""), ""),
    )


def is_better(metric: str, candidate: float | None, champion: float | None) -> bool:
    """Whether the candidate is ahead, in the metric's own direction."""
    if candidate is None or champion is None:
        return False
    return candidate < champion if metric in LOWER_IS_BETTER else candidate > champion


def _part(read: Callable[[], T], otherwise: T) -> T:
    """A part of the document; one that cannot be read is left out, since the page is no reason for anything to fail."""
    try:
        return read()
    except _UNREADABLE:
        return otherwise


def _facts(document: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    facts = {
        "period": lambda: str(document["period"]),
        "estimator": lambda: str(document["training"]["estimator"]),
        "rows trained on": lambda: f"{int(document['training']['rows']):,}",
        "rows held out": lambda: _held_out(document["holdout"]),
        "evaluated": lambda: str(document["evaluated_at"]).replace("T", " ").replace("+00:00", " UTC"),
    }
    found = {name: _part(read, "") for name, read in facts.items()}
    return tuple((name, value) for name, value in found.items() if value)


def _held_out(holdout: Mapping[str, Any]) -> str:
    rows, positives = int(holdout["rows"]), holdout.get("positives")
    return f"{rows:,}" if positives is None else f"{rows:,}, {int(positives) / rows:.1%} churn"


def _side(name: str, document: Mapping[str, Any], calibration: Mapping[str, Any]) -> Side:
    drawn = document.get("curves") or {}
    nobody: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
    stayed, churned = _part(lambda: _spread(drawn["spread"]), nobody)
    curves = Curves(
        roc=_part(lambda: _points(drawn["roc"]), ()),
        precision_recall=_part(lambda: _points(drawn["precision_recall"]), ()),
        calibration=_part(lambda: _points(calibration[name]), ()),
        stayed=stayed,
        churned=churned,
        confusion=_part(lambda: _confusion(drawn["confusion"]), ()),
    )
    return Side(name=name, metrics=_numbers(document.get("metrics") or {}), curves=curves)


def _note(champion: Mapping[str, Any] | None) -> str:
    if not champion:
        return "There is no champion yet."
    error, missing = champion.get("error"), champion.get("missing_columns")
    scored = f", which could not be scored: {error}" if error else ""
    lacking = f"; the drop lacks its columns {', '.join(map(str, missing))}" if missing else ""
    return f"The champion is version {champion.get('version', '?')}{scored}{lacking}."


def _intervals(differences: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    known = {name: entry["interval"] for name, entry in differences.items() if entry["interval"] is not None}
    return {name: (_number(low), _number(high)) for name, (low, high) in known.items()}


def _tests(document: Mapping[str, Any]) -> tuple[str, ...]:
    """A test that was not made, or cannot be read, says nothing."""
    found = (
        _part(lambda: _delong(document["differences"]["delong"]), ""),
        _part(lambda: _mcnemar(document["differences"]["mcnemar"]), ""),
    )
    return tuple(filter(None, found))


def _delong(test: Mapping[str, Any]) -> str:
    return f"ROC-AUC, DeLong's test: {_probability(test['p'])}."


def _mcnemar(test: Mapping[str, Any]) -> str:
    ours, theirs = int(test["only_first"]), int(test["only_second"])
    return (
        f"Accuracy, McNemar's test (mid-p): {_probability(test['p_mid'])}; "
        f"{ours:,} rows only the candidate decides rightly, {theirs:,} only the champion."
    )


def _probability(p: float) -> str:
    return "p < 0.0001" if _number(p) < 0.0001 else f"p = {p:.2g}"  # noqa: PLR2004 - finer is nobody's business


def _slices(found: Sequence[Mapping[str, Any]], metric: str) -> tuple[Slice, ...]:
    slices = [
        Slice(
            column=str(entry["column"]),
            value=str(entry["value"]),
            rows=int(entry["rows"]),
            candidate=_numbers(entry["candidate"]).get(metric),
            champion=_numbers(entry["champion"]).get(metric),
        )
        for entry in found[:_SLICES_MAX]
    ]
    return tuple(sorted(slices, key=lambda entry: _gain(metric, entry)))


def _gain(metric: str, entry: Slice) -> float:
    """How much better the candidate is; without a champion, how good."""
    difference = (entry.candidate or 0.0) - (entry.champion or 0.0)
    return -difference if metric in LOWER_IS_BETTER else difference


def _shifts(drift: Mapping[str, Any]) -> tuple[Shift, ...]:
    columns = sorted((_shift(str(name), entry) for name, entry in drift["columns"].items()), key=lambda shift: -shift.psi)
    score = _part(lambda: _shift("the champion's score", drift["score"]), None)
    return (*columns[:_SHIFTS_MAX], *([score] if score else []))


def _shift(name: str, entry: Mapping[str, Any]) -> Shift:
    known = _numbers(entry)
    return Shift(name=name, psi=_number(entry["psi"]), by_chance=known.get("psi_without_drift"), ks=known.get("ks"))


def _points(pairs: Sequence[Sequence[float]]) -> Points:
    """The first two numbers of each entry, within the unit square."""
    return tuple((_share(pair[0]), _share(pair[1])) for pair in pairs[:_POINTS_MAX])


def _share(value: float) -> float:
    return min(1.0, max(0.0, _number(value)))


def _spread(counts: Sequence[Sequence[float]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    stayed, churned = counts
    return tuple(map(_number, stayed)), tuple(map(_number, churned))


def _confusion(rows: Sequence[Sequence[float]]) -> tuple[tuple[int, ...], ...]:
    (a, b), (c, d) = rows
    return (int(a), int(b)), (int(c), int(d))


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {str(name): float(value) for name, value in values.items() if _is_number(value)}


def _number(value: object) -> float:
    if not _is_number(value):
        msg = f"{value!r} is not a number"
        raise ValueError(msg)
    return float(value)  # type: ignore[arg-type]  # as was asked above


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
