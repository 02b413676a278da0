"""From the settings of a model to what its decisions and its runs depend on; no client is constructed here."""

from trainer_daemon.config import MlflowSettings, ModelSettings
from trainer_daemon.config_orchestrator import OrchestratorSettings
from trainer_daemon.config_promotion import EVIDENCE_KEYS
from trainer_daemon.policy.plan import ModelPolicy
from trainer_daemon.reconciler import Model


def model_of(settings: ModelSettings, *, digest: str, mlflow: MlflowSettings, orchestrator: OrchestratorSettings) -> Model:
    """Everything the reconciler knows about a model.

    Args:
        settings: The model's.
        digest: Of the code of the steps.
        mlflow: Where its runs leave what they made.
        orchestrator: Where they are executed.
    """
    tracking = {"tracking_uri": mlflow.tracking_uri, "experiment": settings.name, "artifact_location": mlflow.artifact_location}
    return Model(
        policy=model_policy(settings, digest),
        parameters={**training_parameters(settings), **tracking},
        pipeline=settings.training.pipeline,
        run_timeout_s=orchestrator.run_timeout_s,
        run_link=orchestrator.run_link,
    )


def training_parameters(settings: ModelSettings) -> dict[str, object]:
    """What the outcome of a run depends on besides its drops and code: the pipeline's `data` and `training`."""
    data = settings.model_dump(
        mode="json",
        include={"target", "entity_column", "id_columns", "positive_label", "holdout_ratio", "ranges", "allow_schema_change"},
    )
    training = settings.training.model_dump(mode="json", include={"estimator", "hyperparameters", "seed"})
    slices = settings.promotion.model_dump(mode="json", include=EVIDENCE_KEYS)
    return {"data": {**data, "max_bytes": settings.max_drop_bytes}, "training": {**training, **slices}}


def model_policy(settings: ModelSettings, digest: str) -> ModelPolicy:
    """What decisions about a model depend on."""
    return ModelPolicy(
        name=settings.name,
        promotion=settings.promotion.rules(),
        pipeline_digest=digest,
        parameters={**training_parameters(settings), "pipeline": settings.training.pipeline},
        window_months=settings.window_months,
        backlog=settings.backlog,
        attempts_max=settings.attempts_max,
        retry_backoff_s=settings.retry_backoff_s,
    )
