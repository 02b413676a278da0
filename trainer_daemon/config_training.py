"""The section `[models.training]`: which estimator is trained, and by which of its parameters."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from trainer_daemon import config_values as values
from trainer_daemon.config_keys import Allowed
from trainer_daemon.config_section import Section

Hyperparameter = Annotated[Any, AfterValidator(values.hyperparameter)]

HYPERPARAMETERS: Mapping[str, tuple[str, ...]] = {
    "logistic_regression": (
        "C",
        "class_weight",
        "dual",
        "fit_intercept",
        "intercept_scaling",
        "l1_ratio",
        "max_iter",
        "n_jobs",
        "penalty",
        "random_state",
        "solver",
        "tol",
        "verbose",
        "warm_start",
    ),
    "random_forest": (
        "bootstrap",
        "ccp_alpha",
        "class_weight",
        "criterion",
        "max_depth",
        "max_features",
        "max_leaf_nodes",
        "max_samples",
        "min_impurity_decrease",
        "min_samples_leaf",
        "min_samples_split",
        "min_weight_fraction_leaf",
        "monotonic_cst",
        "n_estimators",
        "n_jobs",
        "oob_score",
        "random_state",
        "verbose",
        "warm_start",
    ),
    "hist_gradient_boosting": (
        "categorical_features",
        "class_weight",
        "early_stopping",
        "interaction_cst",
        "l2_regularization",
        "learning_rate",
        "loss",
        "max_bins",
        "max_depth",
        "max_features",
        "max_iter",
        "max_leaf_nodes",
        "min_samples_leaf",
        "monotonic_cst",
        "n_iter_no_change",
        "random_state",
        "scoring",
        "tol",
        "validation_fraction",
        "verbose",
        "warm_start",
    ),
}
"""By estimator, the names that scikit-learn knows, which is too large to be imported for this."""


class TrainingSettings(Section):
    """How a model is trained."""

    estimator: Literal["auto", "logistic_regression", "random_forest", "hist_gradient_boosting"] = Field(
        "auto", description="`auto` chooses by cross-validated log loss on the training rows."
    )
    hyperparameters: Annotated[
        Mapping[str, Hyperparameter],
        Allowed("a table of scikit-learn parameters"),
    ] = Field({}, description="Parameters of the estimator, by scikit-learn's names.")
    seed: int = Field(0, ge=0, le=2**32 - 1, description="Of everything random: the same drop and seed give the same model.")
    pipeline: Annotated[
        str,
        Allowed(f"{values.choices(values.BUILT_IN_PIPELINES)}, or the path of a compiled pipeline"),
        AfterValidator(values.pipeline_name),
    ] = Field("training", description="What runs for a drop; a compiled pipeline of your own may replace the built-in one.")


def training_problems(model: str, training: TrainingSettings) -> Iterator[str]:
    """What no section can see alone: hyperparameters that the estimator does not have, when the built-in pipeline is what runs.

    Args:
        model: Whose.
        training: Its settings.
    """
    if training.pipeline != "training":
        return
    key = f"models[{model}].training.hyperparameters"
    if training.estimator == "auto" and training.hyperparameters:
        yield f'{key} needs an estimator that is named: with estimator = "auto" nobody knows whose parameters they are'
        return
    known = HYPERPARAMETERS.get(training.estimator, ())
    for name in training.hyperparameters:
        if name not in known:
            yield f"{key}.{name} is no parameter of {training.estimator}{values.closest(name, known)}"
