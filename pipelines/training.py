"""Pipeline `training`: one run on one drop, or on a window of drops."""

from collections.abc import Callable, Mapping
from typing import Any

from kfp import dsl

from pipelines import components

RUN_PARAMETERS = ("model", "run_key", "run_name", "attempt", "drops", "tracking_uri", "experiment", "artifact_location")


def training_pipeline(image: str) -> Any:  # noqa: ANN401 - a KFP pipeline
    """The pipeline with its steps in a container image.

    Args:
        image: Holds Python and this package; nothing is installed at run time.
    """

    def training(  # noqa: PLR0913, PLR0917 - KFP passes parameters one by one
        model: str,
        run_key: str,
        run_name: str,
        attempt: int,
        drops: list[Any],
        data: dict[str, Any],
        training: dict[str, Any],
        champion_version: str,
        champion_schema: dict[str, Any],
        tracking_uri: str,
        experiment: str,
        artifact_location: str,
    ) -> None:
        _connect(image, locals())

    return dsl.pipeline(
        name="training", display_name="Churn training", description="Train, compare with the champion, register."
    )(training)


def _connect(image: str, given: Mapping[str, Any]) -> None:
    """Pass the parameters and artifacts from step to step.

    Args:
        image: Of all steps.
        given: The pipeline's parameters by name.
    """
    run = {name: given[name] for name in RUN_PARAMETERS}
    champion_schema, training = given["champion_schema"], given["training"]
    load, train = component(components.load_and_preprocess_data, image), component(components.train_model, image)
    loaded = load(**run, data=given["data"], champion_schema=champion_schema).set_display_name("Load and preprocess data")
    known = {name: loaded.outputs[name] for name in ("schema", "holdout_rows")}
    trained = train(**run, training=training, training_rows=loaded.outputs["training_rows"], schema=known["schema"])
    trained.set_display_name("Train model")
    known["candidate"] = trained.outputs["candidate"]
    judged = {
        "champion_version": given["champion_version"],
        "champion_schema": champion_schema,
        "summary": trained.outputs["summary"],
    }
    evaluate, register = component(components.evaluate_model, image), component(components.register_model, image)
    evaluated = evaluate(**run, **known, **judged, training=training)
    registered = register(**run, **known, evaluation=evaluated.outputs["evaluation"])
    for task, name in ((evaluated, "Evaluate model"), (registered, "Register model")):
        # what they are for is their effect on MLflow, which a cached result would not have
        task.set_display_name(name).set_caching_options(enable_caching=False)


def component(function: Callable[..., Any], image: str) -> Any:  # noqa: ANN401 - a KFP component
    """A step in a container image; nothing is installed when it runs."""
    return dsl.component(function, base_image=image, packages_to_install=[], install_kfp_package=False)
