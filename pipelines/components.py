"""The KFP components: each declares what a step takes and gives, and calls the plain function that does it.

KFP copies the source of these functions into the compiled pipeline and runs it alone, so everything they use is imported
inside them. A step's artifacts are named like the fields of its files, its parameters like those of the run's identity.
"""

from typing import Any

from kfp import dsl


def load_and_preprocess_data(  # noqa: PLR0913 - KFP passes parameters one by one
    *,
    model: str,
    run_key: str,
    run_name: str,
    attempt: int,
    drops: list[Any],
    data: dict[str, Any],
    champion_schema: dict[str, Any],
    tracking_uri: str,
    experiment: str,
    artifact_location: str,
    training_rows: dsl.Output[dsl.Dataset],
    holdout_rows: dsl.Output[dsl.Dataset],
    schema: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
) -> None:
    """Read the drops, refuse what can never be trained, split by stable hash."""
    from pipelines.steps.boundary import files_of, identity_of, step

    given = locals()
    with step("load_and_preprocess_data", identity_of(given), drops) as parsed:
        from pipelines.parameters import parse_data
        from pipelines.schema import parse_schema
        from pipelines.steps.load_and_preprocess_data import LoadedFiles, load_and_preprocess_data

        champion = parse_schema(champion_schema)
        prepared = load_and_preprocess_data(parsed, parse_data(data), champion=champion, files=files_of(LoadedFiles, given))
        metrics.log_metric("training_rows", len(prepared.training))
        metrics.log_metric("holdout_rows", len(prepared.holdout))
        metrics.log_metric("features", len(prepared.schema.features))


def train_model(  # noqa: PLR0913 - KFP passes parameters one by one
    *,
    model: str,
    run_key: str,
    run_name: str,
    attempt: int,
    drops: list[Any],
    training: dict[str, Any],
    tracking_uri: str,
    experiment: str,
    artifact_location: str,
    training_rows: dsl.Input[dsl.Dataset],
    schema: dsl.Input[dsl.Artifact],
    candidate: dsl.Output[dsl.Model],
    summary: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
) -> None:
    """Fit the configured estimator on the training rows."""
    from pipelines.steps.boundary import files_of, identity_of, step

    given = locals()
    with step("train_model", identity_of(given), drops):
        from pipelines.parameters import parse_training
        from pipelines.steps.train_model import TrainedFiles, train_model

        candidate.metadata["format"] = "skops"
        for name, value in train_model(parse_training(training), files_of(TrainedFiles, given)).items():
            metrics.log_metric(f"cross_validated_log_loss_{name}", value)


def evaluate_model(  # noqa: PLR0913 - KFP passes parameters one by one
    *,
    model: str,
    run_key: str,
    run_name: str,
    attempt: int,
    drops: list[Any],
    training: dict[str, Any],
    champion_version: str,
    champion_schema: dict[str, Any],
    tracking_uri: str,
    experiment: str,
    artifact_location: str,
    holdout_rows: dsl.Input[dsl.Dataset],
    schema: dsl.Input[dsl.Artifact],
    candidate: dsl.Input[dsl.Model],
    summary: dsl.Input[dsl.Artifact],
    evaluation: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    curves: dsl.Output[dsl.ClassificationMetrics],
    report: dsl.Output[dsl.HTML],
) -> None:
    """Score candidate and champion on the same held-out rows."""
    from pipelines.steps.boundary import files_of, identity_of, step

    given = locals()
    identity = identity_of(given)
    with step("evaluate_model", identity, drops) as parsed:
        from pipelines.parameters import parse_training
        from pipelines.schema import parse_schema
        from pipelines.steps.evaluate_model import EvaluatedFiles, PinnedChampion, evaluate_model

        pinned = PinnedChampion(version=champion_version, schema=parse_schema(champion_schema))
        files = files_of(EvaluatedFiles, given)
        scores = evaluate_model(identity, parsed, settings=parse_training(training), pinned=pinned, files=files)
        for name, value in scores.defined.items():
            metrics.log_metric(name, value)
        curves.log_roc_curve(*scores.roc.T.tolist())
        curves.log_confusion_matrix(["stayed", "churned"], scores.confusion.tolist())


def evaluate_version(  # noqa: PLR0913 - KFP passes parameters one by one
    *,
    model: str,
    run_key: str,
    run_name: str,
    attempt: int,
    drops: list[Any],
    training: dict[str, Any],
    candidate_version: str,
    champion_version: str,
    champion_schema: dict[str, Any],
    tracking_uri: str,
    experiment: str,
    artifact_location: str,
    holdout_rows: dsl.Input[dsl.Dataset],
    schema: dsl.Input[dsl.Artifact],
    evaluation: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    curves: dsl.Output[dsl.ClassificationMetrics],
    report: dsl.Output[dsl.HTML],
) -> None:
    """Score a registered version and the champion on the same held-out rows."""
    from pipelines.steps.boundary import files_of, identity_of, step

    given = locals()
    identity = identity_of(given)
    with step("evaluate_version", identity, drops) as parsed:
        from pipelines.parameters import parse_training
        from pipelines.schema import parse_schema
        from pipelines.steps.evaluate_model import PinnedChampion
        from pipelines.steps.evaluate_version import EvaluatedAgainFiles, Rivals, evaluate_version

        pinned = PinnedChampion(version=champion_version, schema=parse_schema(champion_schema))
        rivals = Rivals(candidate_version=candidate_version, champion=pinned)
        files = files_of(EvaluatedAgainFiles, given)
        scores = evaluate_version(identity, parsed, settings=parse_training(training), rivals=rivals, files=files)
        for name, value in scores.defined.items():
            metrics.log_metric(name, value)
        curves.log_roc_curve(*scores.roc.T.tolist())
        curves.log_confusion_matrix(["stayed", "churned"], scores.confusion.tolist())


def register_model(  # noqa: PLR0913 - KFP passes parameters one by one
    *,
    model: str,
    run_key: str,
    run_name: str,
    attempt: int,
    drops: list[Any],
    tracking_uri: str,
    experiment: str,
    artifact_location: str,
    holdout_rows: dsl.Input[dsl.Dataset],
    schema: dsl.Input[dsl.Artifact],
    candidate: dsl.Input[dsl.Model],
    evaluation: dsl.Input[dsl.Artifact],
) -> str:
    """Create the one model version of this run, and point alias `candidate` at it."""
    from pipelines.steps.boundary import files_of, identity_of, step

    given = locals()
    identity = identity_of(given)
    with step("register_model", identity, drops) as parsed:
        from pipelines.steps.register_model import RegisteredFiles, register_model

        return register_model(identity, parsed, files_of(RegisteredFiles, given))


def predict(  # noqa: PLR0913 - KFP passes parameters one by one
    *,
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
    metrics: dsl.Output[dsl.Metrics],
    report: dsl.Output[dsl.HTML],
) -> None:
    """Predict every row of the data set by one version, and write the predictions to `out`."""
    from pipelines.steps.boundary import files_of, identity_of, step

    given = locals()
    identity = identity_of(given)
    with step("predict", identity, drops) as parsed:
        from pipelines.parameters import parse_data
        from pipelines.steps.predict import PredictedFiles, Wanted, predict

        wanted = Wanted(drop=parsed[-1], version=version, out=out)
        tally = predict(identity, wanted, settings=parse_data(data), files=files_of(PredictedFiles, given))
        metrics.log_metric("rows", tally.rows)
        metrics.log_metric("mean_probability", tally.mean)
        metrics.log_metric("labelled_share", tally.share)


def say_hello(*, name: str) -> str:
    """Prove that the backend runs our image and that the package is in it."""
    from pipelines.progress import say

    say(f"hello, {name}")
    return name
