"""Estimators and what stands before them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines import model as model_module
from pipelines.cleaning import row_hashes
from pipelines.errors import BadSettings
from pipelines.model import ESTIMATORS as ESTIMATOR_CLASSES
from pipelines.model import Trained, TrainingRows, build, churn_probabilities, train
from pipelines.parameters import TrainingSettings
from pipelines.schema import Kind, Schema
from tests.unit.pipelines.builders import a_csv, a_schema, prepared
from trainer_daemon.config_training import HYPERPARAMETERS

ESTIMATORS = ("auto", "logistic_regression", "random_forest", "hist_gradient_boosting")


def rows_of(frame: pd.DataFrame, schema: Schema, labels: np.ndarray) -> TrainingRows:
    """Training rows of a frame."""
    return TrainingRows(features=frame, labels=labels, units=row_hashes(frame, schema), schema=schema)


def a_problem(rows: int = 300, *, interaction: bool = False) -> TrainingRows:
    """Rows in which the label follows `x`, or the sign of `x` times `y`."""
    draw = np.random.default_rng(7)
    frame = pd.DataFrame({"x": draw.normal(size=rows), "y": draw.normal(size=rows)})
    score = 6 * frame["x"] * frame["y"] if interaction else 2 * frame["x"]
    labels = (draw.random(rows) < 1 / (1 + np.exp(-score))).to_numpy().astype(int)
    return rows_of(frame, a_schema(x=Kind.NUMERIC, y=Kind.NUMERIC), labels)


def fitted(rows: TrainingRows, **settings: Any) -> Trained:  # noqa: ANN401 - any setting
    """A trained model."""
    return train(rows, TrainingSettings(**settings))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_equal_rows_and_settings_give_an_equal_model(estimator: str) -> None:
    """The seed decides everything that chance would."""
    rows = a_problem()
    first, second = (churn_probabilities(fitted(rows, estimator=estimator, seed=3).model, rows.features) for _ in range(2))
    assert first.tolist() == second.tolist()


def test_seed_matters_to_a_forest() -> None:
    """The seed reaches the estimator."""
    rows = a_problem()
    first, second = (churn_probabilities(fitted(rows, estimator="random_forest", seed=n).model, rows.features) for n in (1, 2))
    assert first.tolist() != second.tolist()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_model_copes_with_missing_cells_and_unseen_texts(estimator: str) -> None:
    """What was never seen is predicted, not refused."""
    ready = prepared(a_csv(400, edits={5: ",9,,1", 6: "3,,B,0", 7: ",,A,1"}))
    names = list(ready.schema.features)
    model = fitted(rows_of(ready.training, ready.schema, ready.training["Churn"].to_numpy()), estimator=estimator).model
    strange = ready.holdout[names].head(3).copy()
    strange["Contract"] = pd.Series(["never seen", None, "A"], dtype="str", index=strange.index)
    strange.loc[strange.index[0], ["Tenure", "Charges"]] = np.nan
    assert np.isfinite(churn_probabilities(model, strange)).all()


def test_text_column_of_many_values_becomes_few_columns() -> None:
    """The model's width is bounded, however many different texts there are."""
    texts = pd.Series([f"city {number % 400}" for number in range(1200)], dtype="str")
    frame = pd.DataFrame({"city": texts})
    model = fitted(rows_of(frame, a_schema(city=Kind.TEXT), np.arange(1200) % 2), estimator="logistic_regression").model
    assert model[:-1].transform(frame).shape == (1200, 30)


def test_columns_that_are_no_features_do_not_reach_the_model() -> None:
    """The model knows the schema's features, whatever else stands in the frame."""
    rows = a_problem()
    wider = TrainingRows(features=rows.features.assign(z=rows.labels), labels=rows.labels, units=rows.units, schema=rows.schema)
    assert fitted(wider, estimator="hist_gradient_boosting").model.feature_names_in_.tolist() == ["x", "y"]


def test_auto_takes_the_lower_cross_validated_log_loss() -> None:
    """A linear problem gets the regression, an interaction the boosting, and the figures that decided are kept."""
    linear, crossed = fitted(a_problem()), fitted(a_problem(800, interaction=True))
    assert (linear.estimator, crossed.estimator) == ("logistic_regression", "hist_gradient_boosting")
    for trained in (linear, crossed):
        assert min(trained.cross_validation, key=lambda name: trained.cross_validation[name]) == trained.estimator
        assert len(trained.cross_validation) == 2


def test_auto_keeps_rows_of_one_unit_in_one_fold() -> None:
    """Random labels of recurring customers cannot be learned by heart: nothing beats the base rate."""
    draw = np.random.default_rng(5)
    customers = np.repeat(np.arange(150), 6)
    frame = pd.DataFrame({"customer": customers.astype(float), "a": np.repeat(draw.normal(size=150), 6)})
    labels = np.repeat(draw.integers(0, 2, 150), 6)
    schema = Schema(
        target="Churn",
        entity_column="customer",
        columns={"customer": Kind.NUMERIC, "a": Kind.NUMERIC},
        identifiers={"customer": "id"},
    )
    trained = fitted(rows_of(frame, schema, labels))
    assert trained.cross_validation["hist_gradient_boosting"] > 0.69


def test_auto_falls_back_to_the_regression_when_folds_cannot_be_judged() -> None:
    """With a single churner no fold can be judged, but a model can be had."""
    rows = a_problem(30)
    labels = np.zeros(30, dtype=int)
    labels[4] = 1
    trained = fitted(TrainingRows(features=rows.features, labels=labels, units=rows.units, schema=rows.schema))
    assert (trained.estimator, trained.cross_validation) == ("logistic_regression", {})


def test_hyperparameters_reach_the_estimator() -> None:
    """A configured value replaces the default."""
    model = fitted(a_problem(), estimator="random_forest", hyperparameters={"n_estimators": 7, "max_depth": 2}).model
    assert len(model[-1].estimators_) == 7
    assert max(tree.get_depth() for tree in model[-1].estimators_) <= 2


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"estimator": "xgboost"}, "estimator 'xgboost' does not exist: choose one of auto, logistic_regression"),
        ({"estimator": "random_forest", "hyperparameters": {"depth": 3}}, "random_forest has no hyperparameter depth: it has"),
        ({"estimator": "auto", "hyperparameters": {"C": 1}}, r"hyperparameters \['C'\] need a named estimator"),
    ],
)
def test_settings_that_do_not_exist_are_named(settings: dict[str, Any], sentence: str) -> None:
    """The setting and what there is instead are in the sentence."""
    with pytest.raises(BadSettings, match=sentence):
        fitted(a_problem(), **settings)


@pytest.fixture
def few_are_huge(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done for millions of rows begins at 1,000."""
    monkeypatch.setattr(model_module, "ROWS_HUGE", 1000)
    monkeypatch.setattr(model_module, "_SAMPLE_ROWS", 500)


@pytest.mark.usefixtures("few_are_huge")
def test_huge_drop_is_chosen_on_a_sample_and_fitted_on_all(capsys: pytest.CaptureFixture[str]) -> None:
    """The time of the choice is bounded, and nothing is lost to the model; the same seed gives the same model."""
    rows = a_problem(4000, interaction=True)
    first, second = (fitted(rows) for _ in range(2))
    assert first.estimator == "hist_gradient_boosting"
    assert first.cross_validation == second.cross_validation
    assert churn_probabilities(first.model, rows.features).tolist() == churn_probabilities(second.model, rows.features).tolist()
    assert "fitting hist_gradient_boosting on 4,000 rows" in capsys.readouterr().out
    assert fitted(a_problem(4000, interaction=True), seed=9).cross_validation != first.cross_validation


@pytest.mark.usefixtures("few_are_huge")
def test_huge_drop_takes_half_the_memory_per_cell_and_predicts_alike() -> None:
    """float32 changes no decision."""
    rows = a_problem(2000)
    lean = fitted(replace(rows, features=rows.features.astype("float32")), estimator="logistic_regression").model
    plain = build(rows.schema, "logistic_regression", TrainingSettings()).fit(rows.features, rows.labels)
    assert lean[:-1].transform(rows.features.astype("float32")).dtype == np.float32
    assert churn_probabilities(lean, rows.features) == pytest.approx(churn_probabilities(plain, rows.features), abs=1e-4)


def test_scoring_in_slices_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices bound the memory, nothing else."""
    rows = a_problem()
    model = fitted(rows, estimator="hist_gradient_boosting").model
    whole = churn_probabilities(model, rows.features)
    monkeypatch.setattr(model_module, "_CHUNK_ROWS", 7)
    assert churn_probabilities(model, rows.features).tolist() == whole.tolist()


def test_configuration_knows_the_hyperparameters_that_the_estimators_have() -> None:
    """It does not import them, so that a wrong name is told before anything is trained."""
    assert {name: set(known) for name, known in HYPERPARAMETERS.items()} == {
        name: set(estimator().get_params()) for name, estimator in ESTIMATOR_CLASSES.items()
    }
