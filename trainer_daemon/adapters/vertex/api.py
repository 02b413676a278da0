"""The calls of Vertex AI that the daemon makes, in terms of our own values."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from http import HTTPStatus
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from structlog.typing import FilteringBoundLogger

from trainer_daemon.adapters.vertex.jobs import NewJob, VertexJob, job_id, open_filter, state_name
from trainer_daemon.errors import ConfigError, TemporaryError
from trainer_daemon.remote.admission import Admission
from trainer_daemon.remote.errors import Refused, Unauthenticated
from trainer_daemon.remote.runs import Task, one_line

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

PAGE_SIZE = 100
_PAGES_MAX = 500
_IAM, _ACT_AS = "https://iam.googleapis.com", "iam.serviceAccounts.actAs"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_READ_MASK = "name,display_name,state,create_time,end_time,update_time"
"""Of listed jobs: without it each comes with its pipeline, a hundred kilobytes."""
_MISSING = (
    'orchestrator.kind = "vertex" needs google-cloud-aiplatform, which is not installed: pip install "trainer-daemon[vertex]", '
    "or an image that is built by make image EXTRA=vertex"
)
_GET_CREDENTIALS = "get them: gcloud auth application-default login, or run as a service account"
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Where jobs are, and how the service is spoken to.

    Attributes:
        host: URL of the location's endpoint; by plain `http://` no credential is sent.
        timeout_s: For one call.
    """

    project: str
    location: str
    host: str
    timeout_s: float = 30.0

    @property
    def parent(self) -> str:
        """What jobs belong to."""
        return f"projects/{self.project}/locations/{self.location}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What every job is given.

    Attributes:
        pipeline_root: Where artifacts are kept, `gs://…`.
        service_account: That the steps run as; empty for the service's own choice.
        network: To which the steps are peered; empty for none.
        labels: Further ones.
    """

    pipeline_root: str
    service_account: str = ""
    network: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


def require_client() -> None:
    """Return when the client is installed; it is not imported.

    Raises:
        ConfigError: It is not.
    """
    try:
        spec = find_spec("google.cloud.aiplatform_v1")
    except ModuleNotFoundError:
        spec = None
    if spec is None:
        raise ConfigError(_MISSING)


def default_credentials(host: str) -> "Credentials":
    """The application default ones; nobody's where they would travel in the clear.

    Raises:
        ConfigError: There are none, or they cannot be read.
    """
    from google import auth
    from google.auth.credentials import AnonymousCredentials
    from google.auth.exceptions import DefaultCredentialsError

    if host.startswith("http://"):
        return AnonymousCredentials()  # type: ignore[no-any-return, no-untyped-call, unused-ignore]
    try:
        credentials, _ = auth.default(scopes=[_SCOPE])
    except (DefaultCredentialsError, OSError) as exc:
        told = one_line(str(exc)).rstrip(".")
        msg = f'orchestrator.kind = "vertex" needs application default credentials: {told}; {_GET_CREDENTIALS}'
        raise ConfigError(msg) from exc
    return credentials  # type: ignore[no-any-return, unused-ignore]


class VertexApi:
    """One location of one project; every call has a deadline and raises TemporaryError or PermanentError, nothing else.

    Args:
        connection: Where it is.
        credentials: Who we are.
        log: The daemon's.
    """

    def __init__(self, connection: Connection, credentials: "Credentials", *, log: FilteringBoundLogger) -> None:
        self._connection = connection
        self._credentials = credentials
        self._admission = Admission(log)

    @cached_property
    def _client(self) -> Any:  # noqa: ANN401 - of an untyped library, imported here
        from trainer_daemon.adapters.vertex.client import pipeline_client

        where = self._connection
        return pipeline_client(host=where.host, credentials=self._credentials, timeout_s=where.timeout_s)

    def create(self, new: NewJob, workload: Workload) -> VertexJob | None:
        """Start a job; None when there is one of its id."""
        from google.cloud.aiplatform_v1.types import CreatePipelineJobRequest
        from google.protobuf import json_format

        identity = job_id(new.name)
        request = CreatePipelineJobRequest(parent=self._connection.parent, pipeline_job_id=identity)
        json_format.ParseDict(_document(new, workload), CreatePipelineJobRequest.pb(request).pipeline_job)
        made = self._unless({HTTPStatus.CONFLICT}, f"create pipeline job {identity}", self._client.create_pipeline_job, request)
        return _job(made) if made else None

    def get(self, name: str) -> VertexJob | None:
        """The job of a run with its tasks; None when there is none."""
        what = f"look at pipeline job {job_id(name)}"
        request = {"name": self._name(name)}
        found = self._asked_again(lambda: self._unless({HTTPStatus.NOT_FOUND}, what, self._client.get_pipeline_job, request))
        return _job(found) if found else None

    def open_jobs(self) -> Sequence[VertexJob]:
        """Every job of a daemon that is not over, in one call per page."""
        return tuple(map(_job, self._listed(open_filter())))

    def require_admission(self) -> None:
        """Ask for as little as possible."""
        self._page("", "", size=1)

    def cancel(self, name: str) -> None:
        """Ask for the end of the job of a run; what is over already, or gone, stays as it is."""
        over = {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}
        self._unless(over, f"cancel pipeline job {job_id(name)}", self._client.cancel_pipeline_job, {"name": self._name(name)})

    def may_act_as(self, account: str) -> bool:
        """Whether the daemon may start steps as a service account."""
        from trainer_daemon.adapters.vertex.client import permitted

        where = self._connection
        host = where.host if where.host.startswith("http://") else _IAM
        url = f"{host}/v1/projects/-/serviceAccounts/{account}:testIamPermissions"
        with self._translated(f"ask about service account {account}"):
            return _ACT_AS in permitted(url, [_ACT_AS], credentials=self._credentials, timeout_s=where.timeout_s)

    def close(self) -> None:
        """Close the connections, if there are any."""
        if "_client" in self.__dict__:
            self._client.transport.close()

    def _name(self, name: str) -> str:
        return f"{self._connection.parent}/pipelineJobs/{job_id(name)}"

    def _listed(self, filter_: str) -> Iterator[Any]:
        token = ""
        for _ in range(_PAGES_MAX):
            page = self._page(filter_, token, size=PAGE_SIZE)
            yield from page.pipeline_jobs
            token = page.next_page_token
            if not token:
                return
        msg = f"the list of pipeline jobs does not end after {_PAGES_MAX} pages"
        raise TemporaryError(msg)

    def _page(self, filter_: str, token: str, *, size: int) -> Any:  # noqa: ANN401 - as above
        request = {
            "parent": self._connection.parent,
            "filter": filter_,
            "page_size": size,
            "page_token": token,
            "read_mask": {"paths": _READ_MASK.split(",")},
        }
        return self._asked_again(lambda: self._call("list pipeline jobs", self._client.list_pipeline_jobs, request))

    def _asked_again(self, call: Callable[[], T]) -> T:
        """Once: a kept connection may have been closed by the other side, and looking changes nothing."""
        try:
            return call()
        except TemporaryError as exc:
            if not _was_cut_off(exc):
                raise
        return call()

    def _unless(self, statuses: set[HTTPStatus], what: str, call: Callable[..., T], request: object) -> T | None:
        """What the call returns, or None when it is refused with one of the statuses."""
        try:
            return self._call(what, call, request)
        except Refused as exc:
            if exc.status not in statuses:
                raise
            return None

    def _call(self, what: str, call: Callable[..., T], request: object) -> T:
        with self._translated(what):
            return call(request=request, timeout=self._connection.timeout_s, retry=None)

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        from trainer_daemon.adapters.vertex.errors import translated

        try:
            with translated(what, host=self._connection.host, timeout_s=self._connection.timeout_s):
                yield
        except Unauthenticated as exc:
            self._admission.refused(str(exc))
            raise
        self._admission.granted()


def _was_cut_off(error: TemporaryError) -> bool:
    from urllib3.exceptions import ProtocolError

    return any(isinstance(argument, ProtocolError) for argument in getattr(error.__cause__, "args", ()))


def _document(new: NewJob, workload: Workload) -> dict[str, Any]:
    """A job as the API writes it in JSON."""
    return {
        "displayName": new.name,
        "labels": {**workload.labels, **new.labels},
        "pipelineSpec": new.spec,
        "runtimeConfig": {"gcsOutputDirectory": workload.pipeline_root, "parameterValues": new.parameters},
        **({"serviceAccount": workload.service_account} if workload.service_account else {}),
        **({"network": workload.network} if workload.network else {}),
    }


def _job(made: Any) -> VertexJob:  # noqa: ANN401 - as above
    """From the message below the library's own object, which would warn of a state that it does not know."""
    from google.cloud.aiplatform_v1.types import PipelineState

    raw = type(made).pb(made)
    identity, created_at = raw.name.rpartition("/")[2], _moment(raw, "create_time")
    if not identity.strip() or not identity.isprintable() or created_at is None:
        msg = "an answer of Vertex AI is no pipeline job: it lacks name or createTime; is orchestrator.location right?"
        raise TemporaryError(msg)
    return VertexJob(
        id=identity,
        name=raw.display_name or identity,
        state=state_name(_enum_name(PipelineState, raw.state)),
        created_at=created_at,
        finished_at=_moment(raw, "end_time"),
        changed_at=_moment(raw, "update_time"),
        error=raw.error.message,
        tasks=tuple(
            _task(task) for task in raw.job_detail.task_details if task.task_name != identity
        ),  # that one is the job itself
        labels=dict(raw.labels),
    )


def _task(raw: Any) -> Task:  # noqa: ANN401 - as above
    from google.cloud.aiplatform_v1.types import PipelineTaskDetail

    return Task(
        id=str(raw.task_id),
        name=raw.task_name,
        state=_enum_name(PipelineTaskDetail.State, raw.state),
        error=raw.error.message,
        parent=str(raw.parent_task_id or ""),
    )


def _enum_name(enum: Any, value: int) -> str:  # noqa: ANN401 - as above
    """Its number, when this version of the client has no name for it."""
    return next((str(member.name) for member in enum if member.value == value), str(value))


def _moment(raw: Any, name: str) -> datetime | None:  # noqa: ANN401 - as above
    return getattr(raw, name).ToDatetime(tzinfo=UTC) if raw.HasField(name) else None
