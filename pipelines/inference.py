"""Pipeline `inference`: predictions of one version for one data set, as one file."""

from collections.abc import Mapping
from typing import Any

from kfp import dsl

from pipelines import components
from pipelines.tasks import SCORING, component, ready, with_effect
from pipelines.training import RUN_PARAMETERS


def inference_pipeline(image: str) -> Any:  # noqa: ANN401 - a KFP pipeline
    """The pipeline with its step in a container image.

    Args:
        image: Holds Python and this package; nothing is installed at run time.
    """

    def inference(  # noqa: PLR0913, PLR0917 - KFP passes parameters one by one
        model: str,
        run_key: str,
        run_name: str,
        attempt: int,
        drops: list[Any],
        data: dict[str, Any],
        version: str,
        out: str,
        tracking_uri: str,
        experiment: str,
        artifact_location: str,
    ) -> None:
        _connect(image, locals())

    return dsl.pipeline(name="inference", display_name="Churn predictions", description="Predict every row of a data set.")(
        inference
    )


def _connect(image: str, given: Mapping[str, Any]) -> None:
    """Pass the parameters to the one step.

    Args:
        image: Of the step.
        given: The pipeline's parameters by name.
    """
    parameters = {name: given[name] for name in (*RUN_PARAMETERS, "data", "version", "out")}
    with_effect(ready(component(components.predict, image)(**parameters), "Predict", SCORING))
