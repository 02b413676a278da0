"""Runs pipelines on Vertex AI Pipelines.

The argument for one run per name. The id of a job is chosen by whoever creates it, and one that is taken is refused: so the
service itself makes a run exist once.

* `submit` creates. When the id is taken, by an earlier daemon or by a create whose reply was lost, the job is looked at: it is
  adopted, finished or not, if it executes the same pipeline with the same parameters, which digests in its labels say.
* When the reply to a create is lost the job is looked at, at once; if it is not there then, the next attempt creates or finds it.
* The id of a job is never free again, also when it has failed; but every attempt of a run has a name of its own.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

from structlog.typing import FilteringBoundLogger

from trainer_daemon.adapters.vertex.api import VertexApi, Workload
from trainer_daemon.adapters.vertex.jobs import NewJob, VertexJob, difference, job_id, parameters_digest
from trainer_daemon.errors import PermanentError, TemporaryError
from trainer_daemon.ports import RunRequest, Submission
from trainer_daemon.remote.orchestrator import Habits, RemoteOrchestrator
from trainer_daemon.remote.pipelines import Pipelines
from trainer_daemon.remote.spec import arguments


class _Jobs:
    """Looks jobs up; see `remote.orchestrator.Service`."""

    title = "Vertex AI"

    def __init__(self, api: VertexApi) -> None:
        self._api = api

    def open_runs(self) -> Sequence[VertexJob]:
        return self._api.open_jobs()

    def settle(self, name: str, listed: Sequence[VertexJob]) -> VertexJob | None:
        return listed[0] if listed else self._api.get(name)

    def detailed(self, run: VertexJob) -> VertexJob:
        return run  # one that is over was asked for by its id, and came with its tasks

    def end(self, run: VertexJob) -> None:
        self._api.cancel(run.name)

    def living(self, name: str) -> Sequence[VertexJob]:
        job = self._api.get(name)
        return () if job is None or job.is_over else (job,)

    def close(self) -> None:
        self._api.close()


class VertexOrchestrator(RemoteOrchestrator[VertexJob]):
    """An `Orchestrator` on Vertex AI Pipelines.

    Args:
        api: The service; closed with this.
        pipelines: As they are to be executed.
        workload: What every job is given.
        habits: How jobs are followed.
        on_change: Called with a run's name when it is seen in another state.
        clock: Now, in UTC.
        log: The daemon's.
    """

    def __init__(
        self,
        api: VertexApi,
        pipelines: Pipelines,
        workload: Workload,
        *,
        habits: Habits,
        on_change: Callable[[str], None],
        clock: Callable[[], datetime],
        log: FilteringBoundLogger,
    ) -> None:
        super().__init__(_Jobs(api), habits, on_change=on_change, clock=clock, log=log)
        self._api = api
        self._pipelines = pipelines
        self._workload = workload

    def submit(self, request: RunRequest) -> Submission:
        """Start the run unless there is one of its name.

        Raises:
            PermanentError: It can never be executed, or its id is taken by a job that is another one.
            TemporaryError: The service does not answer, throttles, or does not permit it.
        """
        self._expect(request.name, request.timeout_s)
        new = self._new(request)
        job, is_adopted = self._created_or_found(new)
        if told := difference(job, new):
            fix = f"ask for the run again, which then has another id; the job: {self._link(job.id)}"
            msg = f"pipeline job {job.id} exists on Vertex AI and {told}; {fix}"
            raise PermanentError(msg)
        self._watch.note(job)
        return Submission(run_id=job.id, is_adopted=is_adopted, link=self._link(job.id))

    def archive(self, name: str) -> None:
        """Jobs are not put out of sight here: deleting one would lose what it did."""

    def _new(self, request: RunRequest) -> NewJob:
        wanted = self._pipelines.adjusted(request.pipeline)
        if wanted.platforms:
            msg = f"pipeline '{request.pipeline}' asks for what only Kubernetes has; compile it without, to run it on Vertex AI"
            raise PermanentError(msg)
        parameters = arguments(wanted.spec, request.parameters)
        digest = parameters_digest(parameters, without=request.circumstances)
        return NewJob(name=request.name, spec=wanted.spec, version=wanted.version, parameters=parameters, digest=digest)

    def _created_or_found(self, new: NewJob) -> tuple[VertexJob, bool]:
        """The job, and whether it was there before."""
        try:
            made = self._api.create(new, self._workload)
        except TemporaryError:
            made = self._made_all_the_same(new.name)
            if made is None:
                raise
        if made is not None:
            return made, False
        found = self._api.get(new.name)
        if found is None:
            msg = f"Vertex AI has a pipeline job {job_id(new.name)}, and does not show it; it may be being deleted"
            raise TemporaryError(msg)
        return found, True

    def _made_all_the_same(self, name: str) -> VertexJob | None:
        """The job whose reply to the create was lost; None when it is not there, or when that cannot be known now either."""
        with suppress(TemporaryError):  # that of the create says what went wrong, and how long to wait
            return self._api.get(name)
        return None
