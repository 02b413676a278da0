"""The calls of the API that the daemon makes, in terms of our own values.

Built on `kfp_server_api`, the generated client below `kfp.Client`, and not on `kfp.Client` itself: that one costs every daemon a
third of a second and 50 MiB more, prints to stdout, reads and writes files in the home directory, calls the server in its
constructor and sleeps there when it does not answer, and has no way to pass a deadline. What it adds - waiting, compiling,
notebooks - is not needed here; its ways to authenticate are in `credentials`.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import kfp_server_api as kfp
from structlog.typing import FilteringBoundLogger

from trainer_daemon.adapters.kubeflow.credentials import Credentials
from trainer_daemon.adapters.kubeflow.recurring import pipeline_id_of, recurring_run
from trainer_daemon.adapters.kubeflow.runs import OPEN_STATES, KfpRun
from trainer_daemon.adapters.kubeflow.transport import Transport
from trainer_daemon.adapters.kubeflow.understanding import Client, identity, listed, moment, required, understood
from trainer_daemon.errors import TemporaryError
from trainer_daemon.policy.recurring import RecurringRun
from trainer_daemon.remote.errors import Refused
from trainer_daemon.remote.runs import Task, one_line

PAGE_SIZE = 200
"""The most that the server gives at once."""
_PAGES_MAX = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Where the API is, and how it is spoken to.

    Attributes:
        host: URL that `/apis/v2beta1` is below.
        user_namespace: Of a multi-user installation; empty in others.
        ca_file: Certificates that the server's is checked against; None for the usual ones.
        timeout_s: For one call.
        cookies: Further cookies as a header has them, asked for at every request.
    """

    host: str
    credentials: Credentials
    user_namespace: str = ""
    ca_file: Path | None = None
    timeout_s: float = 30.0
    cookies: Callable[[], str] = str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """What a run is created from."""

    name: str
    experiment_id: str
    pipeline_id: str
    version_id: str
    parameters: Mapping[str, Any]
    pipeline_root: str = ""
    service_account: str = ""


class KubeflowApi:
    """One API server; every call has a deadline and raises TemporaryError or PermanentError, nothing else."""

    def __init__(self, connection: Connection, *, log: FilteringBoundLogger) -> None:
        configuration = kfp.Configuration(host=connection.host.rstrip("/"))
        configuration.ssl_ca_cert = str(connection.ca_file) if connection.ca_file else None
        client = self._client = Client(configuration)
        self._transport = client.rest_client = Transport(
            configuration,
            credentials=connection.credentials,
            cookies=connection.cookies,
            timeout_s=connection.timeout_s,
            log=log,
        )
        self._namespace = {"namespace": connection.user_namespace} if connection.user_namespace else {}
        self._experiments = kfp.ExperimentServiceApi(client)
        self._pipelines = kfp.PipelineServiceApi(client)
        self._uploads = kfp.PipelineUploadServiceApi(client)
        self._runs = kfp.RunServiceApi(client)
        self._recurring = kfp.RecurringRunServiceApi(client)

    def is_multi_user(self) -> bool:
        """Whether the server is healthy and keeps users apart, as it says itself."""
        return bool(kfp.HealthzServiceApi(self._client).healthz_service_get_healthz().multi_user)

    def version(self) -> str:
        """Of the server; empty when it does not say. Only the older API tells it."""
        call = partial(self._client.call_api, "/apis/v1beta1/healthz", "GET", response_type="object")
        try:
            told = call(_return_http_data_only=True)
        except (Refused, TemporaryError):
            return ""
        return one_line(str(told.get("tag_name") or ""))

    def find_experiment(self, name: str) -> str | None:
        """The id of an experiment."""
        found = self._experiments.experiment_service_list_experiments(
            filter=_equals("display_name", name), page_size=PAGE_SIZE, **self._namespace
        )
        return next((item.experiment_id for item in listed(found, "experiments") if item.display_name == name), None)

    def create_experiment(self, name: str) -> str | None:
        """The id of a new experiment; None when somebody else was faster."""
        wanted = kfp.V2beta1Experiment(display_name=name, description="Runs of trainer-daemon", **self._namespace)
        made = _unless({HTTPStatus.CONFLICT}, lambda: self._experiments.experiment_service_create_experiment(experiment=wanted))
        return made.experiment_id if made else None

    def find_pipeline(self, name: str) -> str | None:
        """The id of a pipeline."""
        found = self._pipelines.pipeline_service_list_pipelines(
            filter=_equals("display_name", name), page_size=PAGE_SIZE, **self._namespace
        )
        return next((item.pipeline_id for item in listed(found, "pipelines") if item.display_name == name), None)

    def create_pipeline(self, name: str) -> str | None:
        """The id of a new pipeline without versions; None when somebody else was faster."""
        wanted = kfp.V2beta1Pipeline(name=name, display_name=name, description="Uploaded by trainer-daemon", **self._namespace)
        made = _unless({HTTPStatus.CONFLICT}, lambda: self._pipelines.pipeline_service_create_pipeline(pipeline=wanted))
        return made.pipeline_id if made else None

    def find_version(self, pipeline_id: str, name: str) -> str | None:
        """The id of a version of a pipeline."""
        found = self._pipelines.pipeline_service_list_pipeline_versions(
            pipeline_id, filter=_equals("display_name", name), page_size=PAGE_SIZE
        )
        versions = listed(found, "pipeline_versions")
        return next((item.pipeline_version_id for item in versions if item.display_name == name), None)

    def upload_version(self, pipeline_id: str, name: str, text: str) -> str | None:
        """The id of a new version of a pipeline; None when there is one of this name.

        Args:
            pipeline_id: See `find_pipeline`.
            name: Of the version.
            text: The pipeline, as YAML.
        """
        names = {"name": name, "display_name": name, "pipelineid": pipeline_id}
        with TemporaryDirectory(prefix="trainer-upload-") as folder:  # the client uploads files only
            path = Path(folder) / "pipeline.yaml"
            path.write_text(text, encoding="utf-8")
            made = _unless({HTTPStatus.CONFLICT}, lambda: self._uploads.upload_pipeline_version(str(path), **names))
        return made.pipeline_version_id if made else None

    def create_run(self, new: NewRun) -> KfpRun:
        """Start a run; the API does it again each time it is asked to."""
        run = kfp.V2beta1Run(
            display_name=new.name,
            experiment_id=new.experiment_id,
            pipeline_version_reference=kfp.V2beta1PipelineVersionReference(
                pipeline_id=new.pipeline_id, pipeline_version_id=new.version_id
            ),
            runtime_config=kfp.V2beta1RuntimeConfig(parameters=dict(new.parameters), pipeline_root=new.pipeline_root or None),
            service_account=new.service_account or None,
        )
        return _run(self._runs.run_service_create_run(run))

    def open_runs(self, experiment_id: str) -> Sequence[KfpRun]:
        """Every run of the experiment that is not over, in one call per page."""
        return tuple(self._list_runs(experiment_id, _filter("state", "IN", string_values={"values": list(OPEN_STATES)})))

    def runs_named(self, experiment_id: str, name: str) -> Sequence[KfpRun]:
        """Every run of that name; the server compares without regard to case, this does not."""
        return tuple(run for run in self._list_runs(experiment_id, _equals("display_name", name)) if run.name == name)

    def get_run(self, run_id: str) -> KfpRun | None:
        """One run with its tasks; None when it was deleted."""
        found = _unless({HTTPStatus.NOT_FOUND}, lambda: self._runs.run_service_get_run(run_id))
        return _run(found) if found else None

    def terminate(self, run_id: str) -> None:
        """Ask for the end of a run; what is over already stays as it is."""
        over = {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}
        _unless(over, lambda: self._runs.run_service_terminate_run(run_id))

    def archive(self, run_id: str) -> None:
        """Put a run out of sight."""
        self._runs.run_service_archive_run(run_id)

    def recurring_runs(self) -> Sequence[RecurringRun]:
        """Every recurring run, of all experiments, with the name of its pipeline."""
        call = partial(self._recurring.recurring_run_service_list_recurring_runs, page_size=PAGE_SIZE, **self._namespace)
        made = list(_paged(call, "recurring_runs"))
        names = {id_: self._pipeline_name(id_) for id_ in {pipeline_id_of(each) for each in made}}
        with understood("recurring run"):
            return [recurring_run(each, names[pipeline_id_of(each)]) for each in made]

    def disable_recurring_run(self, recurring_run_id: str) -> None:
        """Let a recurring run start nothing any more."""
        self._recurring.recurring_run_service_disable_recurring_run(recurring_run_id)

    def close(self) -> None:
        """Close the connections."""
        self._transport.pool_manager.clear()

    def _list_runs(self, experiment_id: str, filter_: str) -> Iterator[KfpRun]:
        """Page by page."""
        query = {"experiment_id": experiment_id, "filter": filter_, "page_size": PAGE_SIZE, "sort_by": "created_at asc"}
        call = partial(self._runs.run_service_list_runs, **query, **self._namespace)
        return map(_run, _paged(call, "runs"))

    def _pipeline_name(self, pipeline_id: str) -> str:
        """Empty for none, and for one that was deleted."""
        if not pipeline_id:
            return ""
        found = _unless({HTTPStatus.NOT_FOUND}, lambda: self._pipelines.pipeline_service_get_pipeline(pipeline_id))
        return found.display_name or "" if found else ""


def _paged(call: Callable[..., Any], items: str) -> Iterator[Any]:
    """Everything in a list of the server, page by page; in an experiment that was deleted there is nothing.

    Args:
        call: Gets the page that a token is for.
        items: The page's attribute that holds what is listed.
    """
    token = ""
    for _ in range(_PAGES_MAX):
        page = _unless({HTTPStatus.NOT_FOUND}, partial(call, page_token=token))
        if page is None:
            return
        yield from listed(page, items)
        token = page.next_page_token or ""
        if not token:
            return
    what = items.replace("_", " ")
    msg = f"the list of {what} of Kubeflow Pipelines does not end after {_PAGES_MAX} pages; archive or delete old {what}"
    raise TemporaryError(msg)


def _unless(statuses: AbstractSet[int], call: Callable[[], Any]) -> Any:  # noqa: ANN401 - models of an untyped library
    """What the call returns, or None when it is refused with one of the statuses."""
    try:
        return call()
    except Refused as exc:
        if exc.status not in statuses:
            raise
        return None


def _equals(key: str, value: str) -> str:
    return _filter(key, "EQUALS", string_value=value)


def _filter(key: str, operation: str, **value: object) -> str:
    """A filter of one predicate; the server decodes it twice, so values are of `[a-z0-9-]`."""
    return json.dumps({"predicates": [{"operation": operation, "key": key, **value}]})


def _run(made: Any) -> KfpRun:  # noqa: ANN401 - a model of an untyped library
    with understood("run"):
        return KfpRun(
            id=identity("run_id", made.run_id),
            name=made.display_name or "",
            state=str(made.state or ""),
            created_at=required("created_at", moment(made.created_at)),
            finished_at=moment(made.finished_at),
            error=_message(made.error),
            tasks=tuple(map(_task, listed(made.run_details, "task_details") if made.run_details else ())),
        )


def _task(task: Any) -> Task:  # noqa: ANN401 - as above
    return Task(
        id=task.task_id or "",
        name=task.display_name or "",
        state=str(task.state or ""),
        error=_message(task.error),
        parent=task.parent_task_id or "",
        children=tuple(child.task_id or child.pod_name or "" for child in listed(task, "child_tasks")),
    )


def _message(status: Any) -> str:  # noqa: ANN401 - as above
    return (status.message or "") if status else ""
