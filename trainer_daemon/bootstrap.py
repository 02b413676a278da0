"""From settings to a daemon: the only place that constructs clients; they are closed in reverse order."""

from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from pipelines.digest import pipeline_digest
from trainer_daemon.adapters.compiled import compiled_path
from trainer_daemon.adapters.folder import Folder, FolderWatch
from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.adapters.local.orchestrator import LocalOrchestrator
from trainer_daemon.adapters.registry import MlflowRegistry
from trainer_daemon.config import ModelSettings, Settings
from trainer_daemon.daemon import BucketLoop, Daemon, ModelLoop, Parts
from trainer_daemon.intake import Intake
from trainer_daemon.policy.plan import ModelPolicy
from trainer_daemon.policy.promotion import PromotionPolicy
from trainer_daemon.reconciler import Model, Reconciler, Slots
from trainer_daemon.singleton import hold


def clock() -> datetime:
    """Now, in UTC; handed down from here, nobody else reads the wall clock."""
    return datetime.now(UTC)


def build(settings: Settings, log: FilteringBoundLogger) -> Daemon:
    """Assemble a daemon that is ready to run.

    Raises:
        PermanentError: Another daemon uses the ledger, or a newer version has used it.
        TemporaryError: The ledger cannot be reached.
    """
    with ExitStack() as resources:
        resources.enter_context(hold(settings.ledger))
        shared = _Shared(settings=settings, ledger=resources.enter_context(Ledger(settings.ledger)), resources=resources, log=log)
        assembled = [shared.model(model) for model in settings.models]
        parts = Parts(
            models=[reconciling for reconciling, _, _ in assembled],
            buckets=[listing for _, listing, _ in assembled],
            watches=[watch for _, _, watch in assembled],
            ledger=shared.ledger,
            resources=resources.pop_all(),
            clock=clock,
            log=log,
        )
    return Daemon(parts)


class _Shared:
    """What all models use together."""

    def __init__(self, *, settings: Settings, ledger: Ledger, resources: ExitStack, log: FilteringBoundLogger) -> None:
        self.ledger = ledger
        self._settings = settings
        self._log = log
        self._slots = Slots(ledger, settings.max_parallel_runs)
        self._digest = pipeline_digest()
        self._registry = MlflowRegistry(settings.mlflow, log=log)
        resources.callback(self._registry.close)
        self._orchestrator = LocalOrchestrator(workspace=settings.workspace, compiled=self._compiled)
        resources.callback(self._orchestrator.close)

    def _compiled(self, pipeline: str) -> Path:
        return compiled_path(self._settings.workspace / "pipelines", pipeline)

    def model(self, settings: ModelSettings) -> tuple[ModelLoop, BucketLoop, FolderWatch]:
        """The loops of one model, and the watch that rings them."""
        log = self._log.bind(model=settings.name)
        reconciling = ModelLoop(self._reconciler(settings, log), clock, log)
        folder = Folder(settings.folder, settings.drops)
        intake = Intake(
            model=settings.name, bucket=folder, start_from=settings.start_from, ledger=self.ledger, clock=clock, log=log
        )
        listing = BucketLoop(intake, interval_s=settings.listing_interval_s, on_recorded=reconciling.loop.wake, log=log)
        return reconciling, listing, FolderWatch(settings.folder, listing.ring, on_trouble=partial(_warn, log))

    def _reconciler(self, settings: ModelSettings, log: FilteringBoundLogger) -> Reconciler:
        model = Model(
            policy=model_policy(settings, self._digest),
            parameters={**training_parameters(settings), **self._tracking(settings.name)},
            pipeline=settings.training.pipeline,
            run_timeout_s=self._settings.orchestrator.run_timeout_s,
        )
        return Reconciler(
            model=model,
            ledger=self.ledger,
            orchestrator=self._orchestrator,
            registry=self._registry,
            slots=self._slots,
            clock=clock,
            log=log,
        )

    def _tracking(self, model: str) -> dict[str, object]:
        mlflow = self._settings.mlflow
        return {"tracking_uri": mlflow.tracking_uri, "experiment": model, "artifact_location": mlflow.artifact_location}


def _warn(log: FilteringBoundLogger, reason: str) -> None:
    log.warning("watch_interrupted", reason=reason)


def training_parameters(settings: ModelSettings) -> dict[str, object]:
    """What the outcome of a run depends on besides its drops and code: the pipeline's `data` and `training`."""
    data = settings.model_dump(
        mode="json",
        include={"target", "entity_column", "id_columns", "positive_label", "holdout_ratio", "ranges", "allow_schema_change"},
    )
    training = settings.training.model_dump(mode="json", include={"estimator", "hyperparameters", "seed"})
    return {"data": {**data, "max_bytes": settings.max_drop_bytes}, "training": training}


def model_policy(settings: ModelSettings, digest: str) -> ModelPolicy:
    """What decisions about a model depend on."""
    promotion = settings.promotion
    return ModelPolicy(
        name=settings.name,
        promotion=PromotionPolicy(
            metric=promotion.metric,
            min_gain=promotion.min_gain,
            thresholds=promotion.thresholds,
            max_loss=promotion.max_loss,
            min_holdout_rows=promotion.min_holdout_rows,
        ),
        pipeline_digest=digest,
        parameters={**training_parameters(settings), "pipeline": settings.training.pipeline},
        window_months=settings.window_months,
        backlog=settings.backlog,
        attempts_max=settings.attempts_max,
        retry_backoff_s=settings.retry_backoff_s,
    )
