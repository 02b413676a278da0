"""What a model's data looked like when it was trained, in a few numbers per column: `reference.json`, kept with its run.

```
{"format": 1,
 "columns": {"Tenure":   {"rows": 800, "missing": 0.01, "edges": [1, 2, …], "shares": [0.05, …]},
             "Contract": {"rows": 800, "missing": 0.0, "levels": {"monthly": 0.55, "yearly": 0.45}}},
 "score":   {"rows": 200, "missing": 0.0, "edges": […], "shares": […]}}
```

Numbers are counted in bins: one up to and including each edge, and one above the last; edges are percentiles, so a column
with fewer than a hundred values has a bin for each. Shares are of the rows that are not missing. Columns are those that
the model was trained on, in its training rows; scores are its own on rows that it has not seen.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from pipelines.schema import Kind, Schema

REFERENCE_FILE = "reference.json"
REFERENCE_FORMAT = 1
_ROWS_MAX = 100_000
_PERCENTILES = np.linspace(0, 1, 101)[1:-1]
_LEVELS_MAX = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """A column of numbers.

    Attributes:
        rows: That were summarised.
        missing: Share of them without a value.
        edges: Upper ends of all bins but the last, rising.
        shares: Of the rows with a value, one per bin.
    """

    rows: int
    missing: float
    edges: tuple[float, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """A column of texts.

    Attributes:
        rows: That were summarised.
        missing: Share of them without a value.
        levels: Share of each of the most frequent texts among the rows with a value; what is missing to 1 are others.
    """

    rows: int
    missing: float
    levels: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A model's data.

    Attributes:
        columns: One summary per feature.
        score: Of the model's own probabilities; None when they were not summarised.
    """

    columns: Mapping[str, Numbers | Texts] = field(default_factory=dict)
    score: Numbers | None = None


def columns_document(training: pd.DataFrame, schema: Schema) -> dict[str, Any]:
    """The part `columns`, from at most 100,000 rows, evenly spaced.

    Args:
        training: Typed rows that the model was trained on, `(rows, columns)`.
        schema: What the columns are.
    """
    rows = training.iloc[:: -(-len(training) // _ROWS_MAX)]
    numbers = {name: asdict(summarise_numbers(as_floats(rows[name]))) for name in schema.features_of(Kind.NUMERIC)}
    texts = {name: asdict(_summarise_texts(rows[name])) for name in schema.features_of(Kind.TEXT)}
    return {**numbers, **texts}


def reference_document(columns: Mapping[str, Any], scores: np.ndarray) -> dict[str, Any]:
    """The whole of `reference.json`.

    Args:
        columns: See `columns_document`.
        scores: Probability of label 1 of rows that the model has not seen, `(rows,)`.
    """
    return {"format": REFERENCE_FORMAT, "columns": dict(columns), "score": asdict(summarise_numbers(scores))}


def parse_reference(text: str) -> Reference:
    """Read `reference.json`.

    Raises:
        ValueError: It is not a reference of the known format; the sentence says what is wrong.
    """
    try:
        document = json.loads(text)
    except ValueError as exc:
        msg = f"reference.json is not JSON: {exc}"
        raise ValueError(msg) from exc
    if _format_of(document) != REFERENCE_FORMAT:
        msg = f"reference.json has format {_format_of(document)!r}, this pipeline reads {REFERENCE_FORMAT}"
        raise ValueError(msg)
    try:
        columns = {name: _parse_summary(summary) for name, summary in document["columns"].items()}
        score = _parse_summary(document["score"])
    except (KeyError, TypeError, AttributeError, ValueError) as exc:
        msg = f"reference.json cannot be read: {type(exc).__name__}: {exc}"
        raise ValueError(msg) from exc
    return Reference(columns=columns, score=score if isinstance(score, Numbers) else None)


def summarise_numbers(values: np.ndarray) -> Numbers:
    """Percentiles, and the share of rows between them.

    Args:
        values: float64, NaN where missing, `(rows,)`.
    """
    known = values[~np.isnan(values)]
    edges = np.unique(np.quantile(known, _PERCENTILES, method="inverted_cdf")) if len(known) else np.empty(0)
    return Numbers(
        rows=len(values),
        missing=1 - len(known) / len(values),
        edges=tuple(edges.tolist()),
        shares=tuple((counts_between(edges, known) / max(1, len(known))).tolist()),
    )


def counts_between(edges: np.ndarray, known: np.ndarray) -> np.ndarray:
    """How many values lie in each bin, integers, `(edges + 1,)`."""
    return np.bincount(np.searchsorted(edges, known, side="left"), minlength=len(edges) + 1)


def as_floats(values: pd.Series) -> np.ndarray:
    """float64, NaN where missing, `(rows,)`."""
    floats: np.ndarray = values.to_numpy(dtype="float64", na_value=np.nan)
    return floats


def _summarise_texts(values: pd.Series) -> Texts:
    known = values.dropna().astype(str)
    shares = known.value_counts(normalize=True).head(_LEVELS_MAX)
    return Texts(
        rows=len(values),
        missing=1 - len(known) / len(values),
        levels={str(level): float(share) for level, share in shares.items()},
    )


def _format_of(document: object) -> object:
    return document.get("format") if isinstance(document, dict) else None


def _parse_summary(summary: Mapping[str, Any]) -> Numbers | Texts:
    rows, missing = int(summary["rows"]), float(summary["missing"])
    if "levels" in summary:
        levels = {str(level): float(share) for level, share in summary["levels"].items()}
        return Texts(rows=rows, missing=missing, levels=levels)
    edges, shares = tuple(map(float, summary["edges"])), tuple(map(float, summary["shares"]))
    if len(shares) != len(edges) + 1:
        msg = f"{len(edges)} edges need {len(edges) + 1} shares, not {len(shares)}"
        raise ValueError(msg)
    return Numbers(rows=rows, missing=missing, edges=edges, shares=shares)
