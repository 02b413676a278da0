"""Pipeline `training`: one run on one drop, or on a window of drops."""

from collections.abc import Mapping
from typing import Any

from kfp import dsl

from pipelines import components
from pipelines.tasks import READING, REGISTERING, SCORING, TRAINING, component, ready, tried_again, with_effect

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
    evaluate, register = component(components.evaluate_model, image), component(components.register_model, image)
    loaded = ready(load(**run, data=given["data"], champion_schema=champion_schema), "Load and preprocess data", READING)
    known = {name: loaded.outputs[name] for name in ("schema", "holdout_rows")}
    trained = train(**run, training=training, training_rows=loaded.outputs["training_rows"], schema=known["schema"])
    ready(trained, "Train model", TRAINING)
    known["candidate"] = trained.outputs["candidate"]
    judged = {
        "champion_version": given["champion_version"],
        "champion_schema": champion_schema,
        "summary": trained.outputs["summary"],
    }
    evaluated = ready(evaluate(**run, **known, **judged, training=training), "Evaluate model", SCORING)
    registered = ready(register(**run, **known, evaluation=evaluated.outputs["evaluation"]), "Register model", REGISTERING)
    for task in (evaluated, registered):
        with_effect(tried_again(task))
