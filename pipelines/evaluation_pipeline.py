"""Pipeline `evaluation`: the evidence once more, for a version that exists, against the champion of now."""

from collections.abc import Mapping
from typing import Any

from kfp import dsl

from pipelines import components
from pipelines.tasks import READING, SCORING, component, ready, tried_again, with_effect
from pipelines.training import RUN_PARAMETERS


def evaluation_pipeline(image: str) -> Any:  # noqa: ANN401 - a KFP pipeline
    """The pipeline with its steps in a container image.

    Args:
        image: Holds Python and this package; nothing is installed at run time.
    """

    def evaluation(  # noqa: PLR0913, PLR0917 - KFP passes parameters one by one
        model: str,
        run_key: str,
        run_name: str,
        attempt: int,
        drops: list[Any],
        data: dict[str, Any],
        training: dict[str, Any],
        candidate_version: str,
        champion_version: str,
        champion_schema: dict[str, Any],
        tracking_uri: str,
        experiment: str,
        artifact_location: str,
    ) -> None:
        _connect(image, locals())

    return dsl.pipeline(
        name="evaluation", display_name="Churn evaluation", description="Compare a registered version with the champion."
    )(evaluation)


def _connect(image: str, given: Mapping[str, Any]) -> None:
    """Pass the parameters and artifacts from step to step.

    Args:
        image: Of all steps.
        given: The pipeline's parameters by name.
    """
    run = {name: given[name] for name in RUN_PARAMETERS}
    load, evaluate = component(components.load_and_preprocess_data, image), component(components.evaluate_version, image)
    # the drop was accepted when the version was trained: no champion's columns are held against it now, and which of the rows
    # neither model was trained on is seen by the next step, which knows both
    loaded = ready(load(**run, data=given["data"], champion_schema={}), "Load and preprocess data", READING)
    rivals = {name: given[name] for name in ("training", "candidate_version", "champion_version", "champion_schema")}
    rows = {name: loaded.outputs[name] for name in ("holdout_rows", "schema")}
    with_effect(tried_again(ready(evaluate(**run, **rivals, **rows), "Evaluate version", SCORING)))
