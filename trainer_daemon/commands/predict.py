"""`predict`: batch predictions on the configured orchestrator, made once, waited for, and found again."""

import json
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import typer
from structlog.typing import FilteringBoundLogger

from pipelines.digest import pipeline_digest
from trainer_daemon.adapters.compiled import compiled_path
from trainer_daemon.adapters.registry import MlflowRegistry
from trainer_daemon.commands.opening import CommandError, Session, now, open_session
from trainer_daemon.commands.run_progress import showing
from trainer_daemon.commands.stored import as_uri, checksum_of, find
from trainer_daemon.config import ModelSettings
from trainer_daemon.orchestrator_parts import Surroundings, open_orchestrator
from trainer_daemon.policy.events import DatasetVersion, parse_period
from trainer_daemon.policy.predictions import PredictionJob, clash, destination
from trainer_daemon.ports import Orchestrator
from trainer_daemon.predicting import Predicting, Result
from trainer_daemon.telemetry.logging import configure_logging


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictWish:
    """What an operator asks for.

    Attributes:
        dataset: A path or a URI.
        version: None for the champion.
        out: A file or a folder; None for the workspace.
    """

    dataset: str
    version: int | None = None
    out: str | None = None


def predict(wish: PredictWish, *, config: Path, model: str | None, as_json: bool) -> None:
    """Make the predictions, or find them, and say where they are.

    Raises:
        typer.BadParameter: A place cannot be used.
        CommandError: There is no such data, or no such version.
        TrainerError: The predictions cannot be had.
    """
    session = open_session(config)
    settings = session.model(session.one_model(model))
    place = _place(wish.out, settings.name, session)
    dataset = _dataset(wish.dataset, settings)
    mlflow = session.settings.mlflow
    log = configure_logging(level="warning", format="console", stream=sys.stderr)
    with closing(MlflowRegistry(mlflow, log=log)) as registry:
        job = _job(settings, dataset, _version(registry, session, settings.name, wish.version))
        out = _out(place, job, session)
        ended = threading.Event()
        with closing(_orchestrator(session, job, ended, log)) as orchestrator, showing(session) as progress:
            predicting = Predicting(
                job, out, orchestrator=orchestrator, receipts=registry, checksum_of=checksum_of, pause=_pausing(ended)
            )
            tracking = {"tracking_uri": mlflow.tracking_uri, "artifact_location": mlflow.artifact_location}
            result = predicting.bring_about(tracking, session.settings.orchestrator.run_timeout_s, progress)
    print(json.dumps(document(result, job), indent=2) if as_json else sentences(result, job))  # noqa: T201 - the answer


def document(result: Result, job: PredictionJob) -> dict[str, object]:
    """The JSON of `predict --json`; its shape is a contract."""
    return {
        "predictions": result.receipt.uri,
        "rows": result.receipt.rows,
        "labelled": result.receipt.labelled,
        "model": job.model,
        "version": job.version,
        "dataset": job.dataset.ref,
        "run": result.receipt.run,
        "existed": result.existed,
        "adopted": result.adopted,
    }


def sentences(result: Result, job: PredictionJob) -> str:
    """The answer for a person."""
    receipt = result.receipt
    share = f"{receipt.labelled / receipt.rows:.1%}" if receipt.rows else "none"
    what = f"{receipt.rows:,} predictions by version {job.version} of {job.model}, {share} labelled as churn:\n{receipt.uri}"
    return f"They were made before, by run {receipt.run}; nothing was started.\n{what}" if result.existed else what


def _dataset(word: str, settings: ModelSettings) -> DatasetVersion:
    uri = as_uri(word, "--dataset")
    found = find(uri)
    if found is None:
        msg = f"there is nothing at {uri}"
        raise CommandError(msg)
    return replace(found, period=parse_period(found.uri.rpartition("/")[2], settings.drops) or "")


def _version(registry: MlflowRegistry, session: Session, model: str, wanted: int | None) -> str:
    """The version that is asked for; the champion's is looked up now, and counts whoever is champion later."""
    if wanted is not None:
        if not registry.has_version(model, str(wanted)):
            msg = f"model {model} has no version {wanted}; `{session.command('status')}` shows which there are"
            raise CommandError(msg)
        return str(wanted)
    champion = registry.champion(model)
    if champion is None:
        msg = f"model {model} has no champion yet: train one, or name a version with --version"
        raise CommandError(msg)
    return champion.version


def _job(settings: ModelSettings, dataset: DatasetVersion, version: str) -> PredictionJob:
    data = {
        "entity_column": settings.entity_column,
        "id_columns": list(settings.id_columns),
        "max_bytes": settings.max_drop_bytes,
    }
    return PredictionJob(model=settings.name, version=version, dataset=dataset, code_digest=pipeline_digest(), data=data)


def _place(word: str | None, model: str, session: Session) -> str:
    """The URI of the file or the folder that the predictions go to."""
    settings = session.settings
    if word is not None:
        return as_uri(word, "--out")
    if settings.orchestrator.kind != "local":
        msg = "is needed: the steps run elsewhere and cannot write into this machine's workspace; name gs://bucket/folder"
        raise typer.BadParameter(msg, param_hint="--out")
    return (settings.workspace / "predictions" / model).as_uri()


def _out(place: str, job: PredictionJob, session: Session) -> str:
    out = destination(place, job)
    buckets = {model.name: (model.bucket, model.drops) for model in session.settings.models}
    if reason := clash(out, job.dataset.uri, buckets):
        msg = f"predictions must not be written to {out}: {reason}"
        raise typer.BadParameter(msg, param_hint="--out")
    return out


def _orchestrator(session: Session, job: PredictionJob, ended: threading.Event, log: FilteringBoundLogger) -> Orchestrator:
    """An orchestrator of our own beside the daemon's: both know runs by their names, and the daemon has none of these."""
    workspace = session.settings.workspace
    around = Surroundings(
        workspace=workspace,
        compiled=lambda pipeline: compiled_path(workspace / "pipelines", pipeline),
        code_digest=job.code_digest,
        on_end=lambda _: ended.set(),
        clock=now,
        log=log,
    )
    orchestrator, _ = open_orchestrator(session.settings.orchestrator, around)
    return orchestrator


def _pausing(ended: threading.Event) -> Callable[[float], None]:
    """Wait, but not once there is a reason to look."""

    def pause(seconds: float) -> None:
        ended.wait(seconds)
        ended.clear()

    return pause
