"""What the worker does with MLflow, one method per operation, in terms of JSON; slow to import, so only the worker does."""

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from trainer_daemon.adapters.registry.moving import CHAMPION, move_champion
from trainer_daemon.adapters.registry.protocol import EVALUATION, REPORT, SCHEMA
from trainer_daemon.errors import PermanentError, RolledBackError, TemporaryError
from trainer_daemon.policy.marks import DECISION_TAG, ROLLED_BACK_TAG
from trainer_daemon.telemetry.redaction import redacted

RUN_KEY_TAG = "trainer.run_key"
PERIOD_TAG = "trainer.period"
FAILURE_TAG = "trainer.failure"
DOCTOR_TAG = "trainer.doctor"
"""Exists for the time between two calls, while somebody tries whether the registry can be written."""
PREDICTIONS_TAG = "trainer.predictions"
_MISSING = "RESOURCE_DOES_NOT_EXIST"
_MESSAGE_LENGTH_MAX = 500
_ARTIFACT_BYTES_MAX = 4 * 1024**2
_RUNS_MAX = 10
_SQLITE = "sqlite:///"
_OVERTAKEN = ("IntegrityError", "UniqueViolation")
"""What databases say, and MLflow calls a bad request, when somebody else wrote the same row after a look and before the write."""


class Operations:
    """Operations on one MLflow server or SQLite file.

    Args:
        tracking_uri: A fresh SQLite file gets its tables here.
    """

    def __init__(self, tracking_uri: str) -> None:
        self._file: Path | None = None
        if tracking_uri.startswith(_SQLITE):
            self._file = Path(tracking_uri.removeprefix(_SQLITE).partition("?")[0])
            _prepare(self._file)
        mlflow.set_tracking_uri(tracking_uri)  # artifacts behind a server are found through this global only
        mlflow.set_registry_uri(tracking_uri)
        self._client = _client(tracking_uri)
        self._schemas: dict[str, str] = {}

    def champion(self, model: str) -> dict[str, Any]:
        """Version, run key, period and schema of the champion."""
        version = _Aliases(self._client, model).read().get(CHAMPION, "")
        if not version:
            return {"champion": None}
        found = self._client.get_model_version(model, version)
        return {
            "champion": {
                "version": version,
                "run_key": found.tags.get(RUN_KEY_TAG, ""),
                "period": found.tags.get(PERIOD_TAG, ""),
                "schema": self._schema(found.run_id) if found.run_id else "",
            }
        }

    def outcome(self, model: str, run_key: str) -> dict[str, Any]:
        """Versions by number, texts of `evaluation.json`, of the failure tag and of the first version's own tags."""
        run = self._run(model, run_key)
        found = self._client.search_model_versions(f"name = '{_quoted(model)}' and tags.`{RUN_KEY_TAG}` = '{_quoted(run_key)}'")
        tags = min(found, key=lambda version: int(version.version)).tags if found else {}
        return {
            "decision": tags.get(DECISION_TAG, ""),
            "rolled_back": tags.get(ROLLED_BACK_TAG, ""),
            "versions": [str(number) for number in sorted(int(version.version) for version in found)],
            "evaluation": self._artifact(run, EVALUATION) if run else None,
            "failure": run.data.tags.get(FAILURE_TAG, "") if run else "",
        }

    def has_version(self, model: str, version: str) -> dict[str, bool]:
        """Whether a version exists."""
        return {"exists": self.marks(model, version)["tags"] is not None}

    def predictions(self, experiment: str, run_key: str) -> dict[str, str]:
        """Texts of the receipt and of the failure tag of a run that predicts."""
        run = self._run(experiment, run_key)
        tags = run.data.tags if run else {}
        return {"receipt": tags.get(PREDICTIONS_TAG, ""), "failure": tags.get(FAILURE_TAG, "")}

    def record_decision(self, model: str, version: str, tags: Mapping[str, str]) -> None:
        """Set tags on a version."""
        for name, value in tags.items():
            self._client.set_model_version_tag(model, version, name, value)

    def describe(self, model: str, version: str, card: str) -> None:
        """Set the description of a version."""
        self._client.update_model_version(model, version, card)

    def keep_report(self, model: str, run_key: str, page: str) -> None:
        """Write the page as an artifact of the run."""
        run = self._run(model, run_key)
        if run is not None:
            self._client.log_text(run.info.run_id, page, REPORT)

    def promote(self, model: str, version: str, expected: str) -> dict[str, str]:
        """Move the champion from `expected` to `version`, unless it is somewhere else."""
        with self._alone():
            return {"champion": move_champion(_AliasesOfRuns(self._client, model), version, expected)}

    def move_champion(self, model: str, version: str, expected: str) -> dict[str, str]:
        """The same for a person, whom no mark on a version keeps from anything."""
        with self._alone():
            return {"champion": move_champion(_Aliases(self._client, model), version, expected)}

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Within it no other daemon moves an alias in the same file: compared is as it is set. A server has no such thing."""
        if self._file is None:
            yield
            return
        with _locked(self._file):
            yield

    def aliases(self, model: str) -> dict[str, dict[str, str]]:
        """Version by alias."""
        return {"aliases": _Aliases(self._client, model).read()}

    def marks(self, model: str, version: str) -> dict[str, dict[str, str] | None]:
        """The tags of a version, None when there is no such version."""
        try:
            return {"tags": dict(self._client.get_model_version(model, version).tags)}
        except MlflowException as exc:
            if exc.error_code not in {_MISSING, "INVALID_PARAMETER_VALUE"}:
                raise
            return {"tags": None}

    def look(self) -> None:
        """Read the smallest thing there is."""
        self._client.search_experiments(max_results=1)

    def try_writing(self, model: str) -> dict[str, str]:
        """Set a tag and delete it again: on the registered model, or on an experiment before there is one."""
        if self._is_registered(model):
            self._client.set_registered_model_tag(model, DOCTOR_TAG, "")
            self._client.delete_registered_model_tag(model, DOCTOR_TAG)
            return {"written": f"registered model {model}"}
        experiment = self._client.get_experiment_by_name(model) or next(
            iter(self._client.search_experiments(max_results=1)), None
        )
        if experiment is None:
            return {"written": ""}
        self._client.set_experiment_tag(experiment.experiment_id, DOCTOR_TAG, "")
        self._client.delete_experiment_tag(experiment.experiment_id, DOCTOR_TAG)
        return {"written": f"experiment {experiment.name}"}

    def _is_registered(self, model: str) -> bool:
        try:
            self._client.get_registered_model(model)
        except MlflowException as exc:
            if exc.error_code == _MISSING:
                return False
            raise
        return True

    def _run(self, model: str, run_key: str) -> Run | None:
        """The MLflow run of a key; the steps use the oldest one, too, when there are several."""
        experiment = self._client.get_experiment_by_name(model)
        if experiment is None:
            return None
        wanted = f"tags.`{RUN_KEY_TAG}` = '{_quoted(run_key)}'"
        found = self._client.search_runs(
            [experiment.experiment_id], wanted, max_results=_RUNS_MAX, order_by=["attributes.start_time ASC"]
        )
        return found[0] if found else None

    def _schema(self, run_id: str) -> str:
        """Kept, since it never changes and is asked for at every look."""
        if run_id not in self._schemas:
            try:
                text = self._artifact(self._client.get_run(run_id), SCHEMA)
            except MlflowException as exc:
                if exc.error_code != _MISSING:
                    raise
                text = None
            if text is None:
                return ""
            self._schemas[run_id] = text
        return self._schemas[run_id]

    def _artifact(self, run: Run, name: str) -> str | None:
        """The text of a small file of a run, None when the run has no such file."""
        entry = next((entry for entry in self._client.list_artifacts(run.info.run_id) if entry.path == name), None)
        if entry is None:
            return None
        if (entry.file_size or 0) > _ARTIFACT_BYTES_MAX:
            return f"larger than {_ARTIFACT_BYTES_MAX} bytes"
        return str(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/{name}"))


class _Aliases:
    """The aliases of one registered model in MLflow."""

    def __init__(self, client: MlflowClient, model: str) -> None:
        self._client = client
        self._model = model

    def read(self) -> dict[str, str]:
        """Version by alias; asked of the model, since a missing alias has the same error code as a malformed one."""
        try:
            aliases = self._client.get_registered_model(self._model).aliases
        except MlflowException as exc:
            if exc.error_code == _MISSING:
                return {}
            raise
        return {alias: str(version) for alias, version in aliases.items()}

    def point(self, alias: str, version: str) -> None:
        """Let an alias point to a version."""
        self._client.set_registered_model_alias(self._model, alias, version)

    def require(self, version: str) -> None:
        """Raise when there is no such version."""
        self._client.get_model_version(self._model, version)


class _AliasesOfRuns(_Aliases):
    """As a run may move them."""

    def require(self, version: str) -> None:
        """Raise also when a person took the version back."""
        if rolled_back := self._client.get_model_version(self._model, version).tags.get(ROLLED_BACK_TAG):
            raise RolledBackError(rolled_back)


@contextmanager
def translated(operation: str) -> Iterator[None]:
    """Turn what MLflow and the libraries below it raise into the two errors that the daemon knows."""
    try:
        yield
    except MlflowException as exc:
        raise (TemporaryError if _is_temporary(exc) else PermanentError)(_sentence(operation, exc)) from exc
    except (OSError, SQLAlchemyError) as exc:
        raise TemporaryError(_sentence(operation, exc)) from exc


def _is_temporary(exc: MlflowException) -> bool:
    status: int = exc.get_http_status_code()  # type: ignore[no-untyped-call]
    return (
        status >= HTTPStatus.INTERNAL_SERVER_ERROR
        or status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT}
        or any(name in str(exc) for name in _OVERTAKEN)
    )


def _sentence(operation: str, exc: Exception) -> str:
    text = redacted(" ".join(str(exc).split())) or type(exc).__name__
    return f"mlflow {operation}: {text[:_MESSAGE_LENGTH_MAX]}"


def _client(tracking_uri: str) -> MlflowClient:
    return MlflowClient(tracking_uri, registry_uri=tracking_uri)


def _prepare(path: Path) -> None:
    """Make a SQLite file with MLflow's tables unless there is one.

    MLflow makes them at its first use of a file, in many steps over seconds, and a file in which that was interrupted or
    done by two processes at once can never be used again. So one process makes them beside, and the file appears whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path):
        if path.exists() and path.stat().st_size > 0:
            return
        unfinished = path.with_name(f"{path.name}.unfinished")
        for remains in path.parent.glob(f"{unfinished.name}*"):
            remains.unlink()
        client = _client(f"{_SQLITE}{unfinished}")
        client.search_experiments(max_results=1)
        client.search_registered_models(max_results=1)
        unfinished.replace(path)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Within it no other process has the lock that lies beside a file; it ends with the process."""
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _quoted(value: str) -> str:
    """A value inside single quotes of a search filter, whose grammar is SQL's."""
    return value.replace("'", "''")
