"""The models: which estimators there are, what stands before them, and which of them `auto` takes."""

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it ships no types

from pipelines.errors import BadSettings
from pipelines.parameters import TrainingSettings
from pipelines.progress import timed
from pipelines.schema import Kind, Schema
from pipelines.split import folds, sampled

AUTO = "auto"
_CANDIDATES = ("logistic_regression", "hist_gradient_boosting")
_CATEGORIES_MAX = 30
_THREADS_MAX = 2
_FOLDS = 5
_FOLDS_LARGE, _ROWS_LARGE = 3, 20_000
ROWS_HUGE = 200_000
"""Of more rows memory and time decide: their cells are float32, and `auto` chooses on a sample of them."""
_SAMPLE_ROWS = 100_000
_CHUNK_ROWS = 100_000

ESTIMATORS: Mapping[str, Callable[..., Any]] = {
    "logistic_regression": LogisticRegression,
    "random_forest": RandomForestClassifier,
    "hist_gradient_boosting": HistGradientBoostingClassifier,
}
"""By the names that the settings use; `auto` chooses among them."""
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "logistic_regression": {"max_iter": 1000},
    "random_forest": {"n_estimators": 200, "min_samples_leaf": 5},
    # the library's own defaults overfit a month of 1,000 rows: log loss .675 against .533
    "hist_gradient_boosting": {
        "learning_rate": 0.05,
        "max_iter": 120,
        "max_leaf_nodes": 8,
        "min_samples_leaf": 20,
        "l2_regularization": 1.0,
        "early_stopping": False,
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A fitted model and how it came about.

    Attributes:
        estimator: The one that was fitted; never `auto`.
        cross_validation: Log loss of each candidate; empty when the estimator was named.
    """

    model: Pipeline
    estimator: str
    cross_validation: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRows:
    """What is trained on.

    Attributes:
        features: Typed columns, `(rows, columns)`.
        labels: int 0/1, `(rows,)`.
        units: uint64 hash of whose row each one is, `(rows,)`.
        schema: What the columns are.
    """

    features: pd.DataFrame
    labels: np.ndarray
    units: np.ndarray
    schema: Schema


def train(rows: TrainingRows, settings: TrainingSettings) -> Trained:
    """Fit the configured estimator; equal rows and settings give an equal model.

    Args:
        rows: What to train on; columns that are no features may be among them.
        settings: What to train.

    Raises:
        BadSettings: The estimator or one of its hyperparameters does not exist.
    """
    rows = replace(rows, features=rows.features[list(rows.schema.features)])
    cells = cell_type(len(rows.labels))
    estimator, scores = (
        _choose(_sample(rows, settings), settings, cells) if settings.estimator == AUTO else (settings.estimator, {})
    )
    model = build(rows.schema, estimator, settings, cells)
    with timed(f"fitting {estimator} on {len(rows.labels):,} rows"), _threads(rows):
        _fit(model, rows.features, rows.labels)
    return Trained(model=model, estimator=estimator, cross_validation=scores)


def cell_type(rows: int) -> type[np.floating]:
    """What cells are trained on as: half of the memory for huge drops, where the last digits of a number do not matter.

    Args:
        rows: How many there are to train on.
    """
    return np.float32 if rows > ROWS_HUGE else np.float64


def build(schema: Schema, estimator: str, settings: TrainingSettings, cells: type[np.floating] = np.float64) -> Pipeline:
    """An unfitted model: preprocessing of the schema's features, then the estimator.

    Args:
        schema: What the columns are.
        estimator: Its name.
        settings: What is to be trained.
        cells: What the preprocessed cells are, see `cell_type`.

    Raises:
        BadSettings: The estimator or one of its hyperparameters does not exist.
    """
    if settings.estimator == AUTO and settings.hyperparameters:
        msg = f"hyperparameters {sorted(settings.hyperparameters)} need a named estimator: with 'auto' they have no meaning"
        raise BadSettings(msg)
    if estimator not in ESTIMATORS:
        msg = f"estimator '{estimator}' does not exist: choose one of {', '.join([AUTO, *ESTIMATORS])}"
        raise BadSettings(msg)
    parameters = {**_DEFAULTS[estimator], "random_state": settings.seed, **settings.hyperparameters}
    known = ESTIMATORS[estimator]().get_params()
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        msg = f"{estimator} has no hyperparameter {', '.join(unknown)}: it has {', '.join(sorted(known))}"
        raise BadSettings(msg)
    return Pipeline([("columns", _preprocessing(schema, cells)), ("estimator", ESTIMATORS[estimator](**parameters))])


def churn_probabilities(model: Pipeline, features: pd.DataFrame) -> np.ndarray:
    """What the model thinks of each row.

    Args:
        model: A fitted model.
        features: Its features, `(rows, features)`.

    Returns:
        float64, `(rows,)`, probability of label 1.
    """
    positive = list(model.classes_).index(1)
    parts = [
        np.asarray(model.predict_proba(features.iloc[start : start + _CHUNK_ROWS])[:, positive], dtype=np.float64)
        for start in range(0, len(features), _CHUNK_ROWS)
    ]
    return np.concatenate(parts)


def _preprocessing(schema: Schema, cells: type[np.floating]) -> ColumnTransformer:
    numbers = Pipeline([("impute", SimpleImputer(strategy="median", add_indicator=True)), ("scale", StandardScaler())])
    texts = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=_CATEGORIES_MAX, sparse_output=False, dtype=cells)
    return ColumnTransformer(
        [
            ("numbers", numbers, schema.features_of(Kind.NUMERIC)),
            ("texts", texts, schema.features_of(Kind.TEXT)),
        ]
    )


def _sample(rows: TrainingRows, settings: TrainingSettings) -> TrainingRows:
    """The rows of some units of a huge drop, enough of them to choose an estimator by; all rows of any other."""
    if len(rows.labels) <= ROWS_HUGE:
        return rows
    chosen = sampled(rows.units, _SAMPLE_ROWS / len(rows.labels), settings.seed)
    return replace(rows, features=rows.features[chosen], labels=rows.labels[chosen], units=rows.units[chosen])


def _choose(rows: TrainingRows, settings: TrainingSettings, cells: type[np.floating]) -> tuple[str, dict[str, float]]:
    """The candidate with the lower log loss on rows it has not seen; rows of one unit are never on both sides."""
    count = _FOLDS_LARGE if len(rows.labels) > _ROWS_LARGE else _FOLDS
    assigned = folds(rows.units, count)
    scores = {}
    for estimator in _CANDIDATES:
        with timed(f"cross-validating {estimator}, {count} folds"), _threads(rows):
            losses = [_fold_loss(rows, build(rows.schema, estimator, settings, cells), assigned == fold) for fold in range(count)]
        scores[estimator] = float(np.mean(losses))
    best = min(scores, key=lambda name: scores[name])
    if not math.isfinite(scores[best]):
        return _CANDIDATES[0], {}
    return best, scores


def _fold_loss(rows: TrainingRows, model: Pipeline, unseen: np.ndarray) -> float:
    """Log loss on the fold; infinite when too few rows leave it without both classes."""
    if len(set(rows.labels[~unseen])) < 2 or not unseen.any():  # noqa: PLR2004 - both classes
        return math.inf
    _fit(model, rows.features[~unseen], rows.labels[~unseen])
    return float(log_loss(rows.labels[unseen], churn_probabilities(model, rows.features[unseen]), labels=[0, 1]))


def _threads(rows: TrainingRows) -> threadpool_limits:
    """More threads than work to share make a fit slower, many times slower when the machine is busy."""
    return threadpool_limits(_THREADS_MAX if len(rows.labels) > _ROWS_LARGE else 1)


def _fit(model: Pipeline, features: pd.DataFrame, labels: np.ndarray) -> None:
    with warnings.catch_warnings():
        # a regression that has not converged is still a model, and is judged like one
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features, labels)
