"""The MLflow run of a run key: found or created, filled, and told of failures. Imports MLflow only when it is called."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.errors import BadDrop, BadSettings, DropChanged, UnusableModel
from pipelines.parameters import RunIdentity
from pipelines.progress import say

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

RUN_KEY_TAG = "trainer.run_key"
FAILURE_TAG = "trainer.failure"
_REASON_CHARACTERS_MAX, _DROP_CHARACTERS_MAX = 1400, 400  # escaped as JSON still less than 4,000 together
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "GIT_PYTHON_REFRESH": "quiet",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedRun:
    """The one MLflow run of a run key."""

    client: "MlflowClient"
    run_id: str
    artifact_uri: str


def connect(tracking_uri: str) -> "MlflowClient":
    """A client of tracking server and registry; the first call of a process pays for importing MLflow."""
    _set_environment()
    import mlflow
    from mlflow.tracking import MlflowClient

    mlflow.set_tracking_uri(tracking_uri)  # artifacts behind a tracking server are found through this global only
    mlflow.set_registry_uri(tracking_uri)
    return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


def open_run(identity: RunIdentity, period: str) -> TrackedRun:
    """Find or create the MLflow run of this key, mark it as running and write whose it is.

    Args:
        identity: Whose run.
        period: Newest period of its data.

    Raises:
        BadSettings: The experiment was deleted.
    """
    client = connect(identity.tracking_uri)
    experiment_id = _experiment(client, identity)
    found = client.search_runs(
        [experiment_id], f"tags.`{RUN_KEY_TAG}` = '{identity.run_key}'", order_by=["attributes.start_time ASC"]
    )
    tags = {
        RUN_KEY_TAG: identity.run_key,
        "trainer.run_name": identity.run_name,
        "trainer.model": identity.model,
        "trainer.period": period,
        "trainer.attempt": str(identity.attempt),
    }
    if not found:
        run = client.create_run(experiment_id, run_name=identity.run_name, tags=tags)
    else:
        run = found[0]
        _set_tags(client, run.info.run_id, tags)
        client.update_run(run.info.run_id, status="RUNNING", name=identity.run_name)
    return TrackedRun(client=client, run_id=run.info.run_id, artifact_uri=run.info.artifact_uri)


def record_results(
    run: TrackedRun, *, params: Mapping[str, Any], metrics: Mapping[str, float | None], artifacts: Mapping[str, str]
) -> None:
    """Write what a run is judged by; writing it again overwrites it.

    Args:
        run: Where to.
        params: What was asked for; equal for equal run keys, since MLflow refuses to change them.
        metrics: Those that are None are left out.
        artifacts: Text by file name.
    """
    import time

    from mlflow.entities import Metric, Param

    now_ms = int(time.time() * 1000)
    run.client.log_batch(
        run.run_id,
        metrics=[Metric(name, value, now_ms, 0) for name, value in metrics.items() if value is not None],
        params=[Param(name, str(value)) for name, value in params.items()],
    )
    for name, text in artifacts.items():
        run.client.log_text(run.run_id, text, name)


def finish(run: TrackedRun) -> None:
    """Mark the run as finished, and forget what an earlier attempt said of its failure."""
    if FAILURE_TAG in run.client.get_run(run.run_id).data.tags:
        run.client.delete_tag(run.run_id, FAILURE_TAG)
    run.client.set_terminated(run.run_id, "FINISHED")


def report_failure(identity: RunIdentity, *, step: str, error: BaseException, period: str, drop: str) -> None:
    """Write on the MLflow run why a step failed; when MLflow fails as well, say so and leave the original error alone.

    Args:
        identity: Whose run.
        step: The step that failed.
        error: What it failed with.
        period: Newest period of its data.
        drop: Reference of the newest drop.
    """
    _set_environment()
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    document = failure_document(identity.attempt, step, error, drop)
    say(f"{step} failed ({document['kind']}): {document['reason']}")
    try:
        run = open_run(identity, period)
        run.client.set_tag(run.run_id, FAILURE_TAG, json.dumps(document, ensure_ascii=False))
        run.client.set_terminated(run.run_id, "FAILED")
    except (MlflowException, SQLAlchemyError, OSError, BadSettings) as exc:
        say(f"the failure could not be recorded in MLflow: {exc}")


def failure_document(attempt: int, step: str, error: BaseException, drop: str) -> dict[str, Any]:
    """What the daemon reads of a failure; short enough to be a tag.

    Args:
        attempt: Of the run.
        step: The step that failed.
        error: What it failed with.
        drop: Reference of the newest drop, for an error that names none.
    """
    match error:
        case BadDrop():
            kind, reason, drop = "bad_drop", error.reason, error.drop or drop
        case DropChanged():
            kind, reason = "drop_changed", str(error)
        case BadSettings() | UnusableModel():
            kind, reason = "error", str(error)
        case _:
            kind, reason = "error", f"{type(error).__name__}: {error}".removesuffix(": ")
    return {
        "attempt": attempt,
        "step": step,
        "kind": kind,
        "reason": _one_line(reason, _REASON_CHARACTERS_MAX),
        "drop": _one_line(drop, _DROP_CHARACTERS_MAX),
    }


def _set_environment() -> None:
    """MLflow reads these when it is imported, or at each call."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def _one_line(text: str, limit: int) -> str:
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _experiment(client: "MlflowClient", identity: RunIdentity) -> str:
    experiment = client.get_experiment_by_name(identity.experiment)
    if experiment is None:
        return _create_experiment(client, identity)
    if experiment.lifecycle_stage != "active":
        command = f"mlflow experiments restore -x {experiment.experiment_id}"
        msg = f"the MLflow experiment '{identity.experiment}' was deleted: restore it with `{command}`"
        raise BadSettings(msg)
    return str(experiment.experiment_id)


def _create_experiment(client: "MlflowClient", identity: RunIdentity) -> str:
    from mlflow.exceptions import MlflowException

    try:
        return str(client.create_experiment(identity.experiment, artifact_location=identity.artifact_location or None))
    except MlflowException as exc:
        existing = client.get_experiment_by_name(identity.experiment)
        if exc.error_code != "RESOURCE_ALREADY_EXISTS" or existing is None:
            raise
        return str(existing.experiment_id)


def _set_tags(client: "MlflowClient", run_id: str, tags: Mapping[str, str]) -> None:
    from mlflow.entities import RunTag

    client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])
