"""The pipelines: `training` for a drop or a window of drops, `evaluation` for a version that exists, `hello`."""

from typing import Any

from kfp import dsl

from pipelines import components


def training_pipeline(image: str) -> Any:  # noqa: ANN401 - a KFP pipeline
    """The pipeline with its steps in a container image.

    Args:
        image: Holds Python and this package; nothing is installed at run time.
    """
    load = _component(components.load_and_preprocess_data, image)
    train = _component(components.train_model, image)
    evaluate = _component(components.evaluate_model, image)
    register = _component(components.register_model, image)

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
        run = {
            "model": model,
            "run_key": run_key,
            "run_name": run_name,
            "attempt": attempt,
            "drops": drops,
            "tracking_uri": tracking_uri,
            "experiment": experiment,
            "artifact_location": artifact_location,
        }
        loaded = load(**run, data=data, champion_schema=champion_schema).set_display_name("Load and preprocess data")
        rows = {name: loaded.outputs[name] for name in ("schema", "holdout_rows")}
        trained = train(**run, training=training, training_rows=loaded.outputs["training_rows"], schema=rows["schema"])
        trained.set_display_name("Train model")
        candidate = trained.outputs["candidate"]
        evaluated = evaluate(
            **run,
            **rows,
            training=training,
            champion_version=champion_version,
            champion_schema=champion_schema,
            candidate=candidate,
            summary=trained.outputs["summary"],
        )
        registered = register(**run, **rows, candidate=candidate, evaluation=evaluated.outputs["evaluation"])
        for task, name in ((evaluated, "Evaluate model"), (registered, "Register model")):
            # what they are for is their effect on MLflow, which a cached result would not have
            task.set_display_name(name).set_caching_options(enable_caching=False)

    return dsl.pipeline(
        name="training", display_name="Churn training", description="Train, compare with the champion, register."
    )(training)


def evaluation_pipeline(image: str) -> Any:  # noqa: ANN401 - a KFP pipeline
    """Pipeline `evaluation`: the evidence once more, for a version that exists, against the champion of now.

    Args:
        image: Holds Python and this package.
    """
    load = _component(components.load_and_preprocess_data, image)
    evaluate = _component(components.evaluate_version, image)

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
        run = {
            "model": model,
            "run_key": run_key,
            "run_name": run_name,
            "attempt": attempt,
            "drops": drops,
            "tracking_uri": tracking_uri,
            "experiment": experiment,
            "artifact_location": artifact_location,
        }
        loaded = load(**run, data=data, champion_schema=champion_schema).set_display_name("Load and preprocess data")
        evaluated = evaluate(
            **run,
            training=training,
            candidate_version=candidate_version,
            champion_version=champion_version,
            champion_schema=champion_schema,
            holdout_rows=loaded.outputs["holdout_rows"],
            schema=loaded.outputs["schema"],
        )
        evaluated.set_display_name("Evaluate version").set_caching_options(enable_caching=False)

    return dsl.pipeline(
        name="evaluation", display_name="Churn evaluation", description="Compare a registered version with the champion."
    )(evaluation)


def hello_pipeline(image: str) -> Any:  # noqa: ANN401 - a KFP pipeline
    """Pipeline `hello`: proves a backend in one step.

    Args:
        image: Holds Python and this package.
    """
    say_hello = _component(components.say_hello, image)

    def hello(name: str = "trainer") -> None:
        say_hello(name=name).set_display_name("Say hello").set_caching_options(enable_caching=False)

    return dsl.pipeline(name="hello", display_name="Hello", description="Proves that the backend can run the steps.")(hello)


def _component(function: Any, image: str) -> Any:  # noqa: ANN401 - a KFP component
    return dsl.component(function, base_image=image, packages_to_install=[], install_kfp_package=False)
