"""From settings to a daemon: the only place that constructs clients; they are closed in reverse order."""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from math import inf
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from structlog.typing import FilteringBoundLogger

from pipelines.digest import pipeline_digest
from trainer_daemon.adapters.compiled import compile_pipelines, compiled_path
from trainer_daemon.adapters.folder import Folder, FolderWatch
from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.adapters.registry import MlflowRegistry
from trainer_daemon.announcements import Announcements
from trainer_daemon.config import ModelSettings, Settings
from trainer_daemon.container_memory import has_little_memory
from trainer_daemon.daemon import BucketLoop, Daemon, ModelLoop, Parts, Watch
from trainer_daemon.errors import PermanentError, TrainerError
from trainer_daemon.fenced import FencedOrchestrator, FencedRegistry
from trainer_daemon.intake import Intake
from trainer_daemon.leases import LeaseKeeper, Leases, Tenure, new_holder
from trainer_daemon.measured import MeasuredBucket, MeasuredOrchestrator, MeasuredRegistry, Meter
from trainer_daemon.metrics_parts import expose
from trainer_daemon.model_parts import model_of
from trainer_daemon.notification_parts import couriers, notices_of
from trainer_daemon.observer import Slots
from trainer_daemon.orchestrator_parts import Surroundings, open_orchestrator
from trainer_daemon.policy.crontab import schedule_event
from trainer_daemon.ports import Bucket
from trainer_daemon.prober import STALE_S, Prober
from trainer_daemon.reconciler import Reconciler
from trainer_daemon.service_questions import questions
from trainer_daemon.singleton import hold, lock_path
from trainer_daemon.telemetry.metrics import Metrics
from trainer_daemon.telemetry.vitals import ROUND_S_MAX, Pulse, Vitals

if TYPE_CHECKING:
    from trainer_daemon.google_parts import GoogleParts

FOLDER_PATIENCE = timedelta(seconds=5)
PUBSUB_PATIENCE = timedelta(seconds=15)
"""How long after a listing found a drop its notification may come; Pub/Sub's takes ten seconds more when it is repeated."""

CALLS_MAX = 10
"""So many calls of a service, each as slow as it may be, can come before a loop's own next one has ended."""


def clock() -> datetime:
    """Now, in UTC; handed down from here, nobody else reads the wall clock."""
    return datetime.now(UTC)


def build(settings: Settings, log: FilteringBoundLogger, *, metrics: Metrics, vitals: Vitals) -> Daemon:
    """Assemble a daemon that is ready to run.

    Args:
        settings: Everything that can be configured.
        log: For everything that happens.
        metrics: Told how calls go.
        vitals: Told what makes progress and what can be reached.

    Raises:
        ConfigError: A bucket or a subscription does not exist, or may not be used.
        PermanentError: Another daemon uses the ledger, or a newer version has used it.
        TemporaryError: The ledger cannot be reached.
    """
    with ExitStack() as resources:
        _require_writable(settings.workspace)
        resources.enter_context(hold(settings.ledger))
        telemetry = _Telemetry(metrics=metrics, vitals=vitals)
        ledger = resources.enter_context(Ledger(settings.ledger, notices_of(settings)))
        if settings.http.listen:
            expose(settings, ledger, metrics=metrics, vitals=vitals, resources=resources, clock=clock)
        shared = _Shared(settings=settings, ledger=ledger, resources=resources, telemetry=telemetry, log=log)
        models = [shared.model(model) for model in settings.models]
        parts = Parts(
            models=[model.reconciling for model in models],
            leases=shared.lease_keeper(),
            buckets=[model.listing for model in models],
            prepare=shared.prepare,
            interrupt=shared.interrupt,
            couriers=couriers(settings, ledger, metrics=metrics, vitals=vitals, clock=clock, log=log),
            watches=[*(watch for model in models for watch in model.watches), *shared.subscribers(), *shared.probers()],
            ledger=shared.ledger,
            resources=resources.pop_all(),
            vitals=vitals,
            clock=clock,
            log=log,
        )
    return Daemon(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Telemetry:
    metrics: Metrics
    vitals: Vitals


@dataclass(frozen=True, slots=True, kw_only=True)
class _ModelParts:
    reconciling: ModelLoop
    listing: BucketLoop
    watches: tuple[Watch, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Where one model's drops come from.

    Attributes:
        on_missed: Called with the time of a drop that was not announced.
        watches: What rings the model's listing.
    """

    bucket: Bucket
    announcements: Announcements
    on_missed: Callable[[datetime], None] = lambda _: None
    watches: Callable[[BucketLoop], tuple[Watch, ...]] = lambda _: ()


class _Shared:
    """What all models use together."""

    def __init__(
        self,
        *,
        settings: Settings,
        ledger: Ledger,
        resources: ExitStack,
        telemetry: _Telemetry,
        log: FilteringBoundLogger,
    ) -> None:
        self._metrics, self._vitals = telemetry.metrics, telemetry.vitals
        self.ledger = ledger
        self._settings = settings
        self._log = log
        self._resources = resources
        self._leases = Leases(
            ledger,
            [model.name for model in settings.models],
            holder=new_holder(),
            log=log,
            alone=lock_path(settings.ledger) is not None,
            on_change=self._lease_changed,
        )
        self._slots = Slots(ledger, settings.max_parallel_runs, [model.name for model in settings.models])
        self._digest = pipeline_digest()
        self._registry = MlflowRegistry(settings.mlflow, log=log)
        resources.callback(self._registry.close)
        self._loops: dict[str, ModelLoop] = {}
        around = Surroundings(
            workspace=settings.workspace,
            compiled=self._compiled,
            code_digest=self._digest,
            on_end=self._run_ended,
            clock=clock,
            log=log,
            spare_memory=self._registry.rest if has_little_memory() else lambda: None,
        )
        self._orchestrator, self._warm = open_orchestrator(settings.orchestrator, around)
        resources.callback(self._orchestrator.close)
        is_remote = settings.orchestrator.kind != "local", settings.mlflow.tracking_uri.startswith("http")
        self._orchestrator_part, self._mlflow_part = (
            self._vitals.part(name, stale_s=STALE_S if remote else inf)
            for name, remote in zip(("orchestrator", "mlflow"), is_remote, strict=True)
        )

    def prepare(self) -> None:
        """Compile before the first run wants it; if that fails, the run will say so."""
        with suppress(TrainerError):
            compile_pipelines(self._pipelines)

    def interrupt(self) -> None:
        """End calls that are under way; they count as failed and are repeated at the next start."""
        self._registry.close()
        self._orchestrator.close()

    @property
    def _pipelines(self) -> Path:
        return self._settings.workspace / "pipelines"

    def _compiled(self, pipeline: str) -> Path:
        return compiled_path(self._pipelines, pipeline)

    def _run_ended(self, _name: str) -> None:
        """Another model may have waited for its slot, so all of them look."""
        for reconciling in self._loops.values():
            reconciling.loop.wake()

    def _lease_changed(self, model: str, is_held: bool) -> None:  # noqa: FBT001 - a gauge's value
        """Whatever was recorded meanwhile is seen by the look that follows."""
        self._metrics.lease(model, is_held)
        if is_held:
            self._loops[model].loop.wake()

    def lease_keeper(self) -> LeaseKeeper:
        """What keeps the leases of all models, once they are known."""
        return LeaseKeeper(self._leases, log=self._log, pulse=self._vitals.pulse("lease"))

    def model(self, settings: ModelSettings) -> _ModelParts:
        """The loops of one model, and what rings them."""
        log = self._log.bind(model=settings.name)
        pulse = self._vitals.pulse(f"reconcile {settings.name}", self._round_s_max)
        tenure = self._leases.tenure(settings.name)
        reconciler = self._reconciler(settings, tenure, pulse, log)
        reconciling = ModelLoop(reconciler, tenure, pause_s=self._orchestrator.pause_s, clock=clock, log=log, pulse=pulse)
        self._loops[settings.name] = reconciling

        def on_recorded() -> None:
            reconciling.loop.wake()
            self._warm()

        source = self._google_source(settings, on_recorded) if settings.on_google else self._folder_source(settings, log)
        look = self._vitals.pulse(f"list {settings.name}")
        bucket = MeasuredBucket(
            source.bucket,
            part=self._vitals.part(f"bucket {settings.name}"),
            pulse=look,
            on_listed=partial(self._metrics.listed, settings.name),
        )
        intake = Intake(
            model=settings.name,
            bucket=bucket,
            start_from=settings.start_from,
            ledger=self.ledger,
            announcements=source.announcements,
            clock=clock,
            log=log,
            on_missed=source.on_missed,
        )
        listing = BucketLoop(intake, interval_s=settings.listing_interval_s, on_recorded=on_recorded, log=log, pulse=look)
        crons = (self._cron(settings, intake, listing, reconciling),) if settings.schedule else ()
        return _ModelParts(reconciling=reconciling, listing=listing, watches=(*source.watches(listing), *crons))

    def _folder_source(self, settings: ModelSettings, log: FilteringBoundLogger) -> _Source:
        announcements = Announcements(FOLDER_PATIENCE, clock)

        def watches(listing: BucketLoop) -> tuple[Watch]:
            def on_change() -> None:
                announcements.begin()
                listing.ring()

            return (FolderWatch(settings.folder, on_change, on_trouble=partial(_warn, log)),)

        return _Source(bucket=Folder(settings.folder, settings.drops), announcements=announcements, watches=watches)

    def _google_source(self, settings: ModelSettings, on_recorded: Callable[[], None]) -> _Source:
        google, announcements = self._google, Announcements(PUBSUB_PATIENCE, clock)
        bucket = google.bucket(settings)
        if settings.subscription and (since := self.ledger.baseline(settings.name)) is not None:
            announcements.begin(since)
        google.subscribe(settings, announcements, on_recorded)
        return _Source(bucket=bucket, announcements=announcements, on_missed=partial(google.suspect, settings))

    @cached_property
    def _google(self) -> "GoogleParts":
        """Made, and its libraries imported, when the first model wants it."""
        from trainer_daemon.google_parts import GoogleParts

        return GoogleParts(
            ledger=self.ledger,
            resources=self._resources,
            clock=clock,
            log=self._log,
            metrics=self._metrics,
            vitals=self._vitals,
        )

    def subscribers(self) -> tuple[Watch, ...]:
        """What listens to Pub/Sub, once all models are known."""
        return self._google.subscribers() if any(model.on_google for model in self._settings.models) else ()

    def probers(self) -> tuple[Watch, ...]:
        """What asks services while no run needs them, if anybody may want to know how they are."""
        if not self._settings.http.listen:
            return ()
        prober = Prober(questions(self._settings, orchestrator=self._orchestrator_part, mlflow=self._mlflow_part))
        self._vitals.on_asked(prober.want)
        return (prober,)

    @property
    def _round_s_max(self) -> float:
        """Longer than any one call: those of other models may have to end first."""
        call_s = max(self._settings.mlflow.call_timeout_s, self._settings.orchestrator.request_timeout_s)
        return max(ROUND_S_MAX, CALLS_MAX * call_s)

    def _cron(self, settings: ModelSettings, intake: Intake, listing: BucketLoop, reconciling: ModelLoop) -> Watch:
        """What fired while the daemon was down is caught up once, but not what fired before there was one."""
        from trainer_daemon.adapters.cron import CronSchedule, CronSource

        def on_fire(fired_at: datetime) -> None:
            retrain = settings.on_schedule == "always"
            intake.record_schedule(schedule_event(settings.name, settings.schedule, fired_at, retrain=retrain))
            reconciling.loop.wake()
            listing.list_soon()

        since = self.ledger.baseline(settings.name) or clock()
        schedule = CronSchedule(text=settings.schedule, timezone=settings.timezone, jitter_s=settings.jitter_s, since=since)
        pulse = self._vitals.pulse(f"schedule {settings.name}")
        return CronSource(schedule, on_fire, clock=clock, log=self._log.bind(model=settings.name), pulse=pulse)

    def _reconciler(self, settings: ModelSettings, tenure: Tenure, pulse: Pulse, log: FilteringBoundLogger) -> Reconciler:
        wanted = self._settings
        model = model_of(settings, digest=self._digest, mlflow=wanted.mlflow, orchestrator=wanted.orchestrator)
        runs = Meter("orchestrator", part=self._orchestrator_part, pulse=pulse, metrics=self._metrics)
        versions = Meter("mlflow", part=self._mlflow_part, pulse=pulse, metrics=self._metrics)
        return Reconciler(
            model=model,
            ledger=self.ledger.fenced(tenure),
            orchestrator=FencedOrchestrator(MeasuredOrchestrator(self._orchestrator, runs, self._vitals.live_runs.note), tenure),
            registry=FencedRegistry(MeasuredRegistry(self._registry, versions), tenure),
            slots=self._slots,
            clock=clock,
            log=log,
        )


def _require_writable(workspace: Path) -> None:
    try:
        workspace.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=workspace):
            pass
    except OSError as exc:
        msg = f"the workspace {workspace} cannot be written: {exc.strerror}; correct `workspace` or the folder's permissions"
        raise PermanentError(msg) from exc


def _warn(log: FilteringBoundLogger, reason: str) -> None:
    log.warning("watch_interrupted", reason=reason)
