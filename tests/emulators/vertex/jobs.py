"""`projects.locations.pipelineJobs`: created with an id that is taken only once, listed, looked at, cancelled, deleted."""

import re
from collections.abc import Callable
from typing import Any

from tests.emulators.kfp import specs
from tests.emulators.kfp.call import Call, Routes
from tests.emulators.kfp.refusal import RefusedError
from tests.emulators.kfp.store import Document, NameTakenError, Store
from tests.emulators.kfp.task_details import tasks_of
from tests.emulators.kfp.times import NEVER
from tests.emulators.kfp.workflows import Workflows
from tests.emulators.vertex.listing import matching, page
from tests.emulators.vertex.refusal import refuse
from tests.emulators.vertex.views import masked, resource_name, stamp, view

_ID = re.compile(r"[a-z][-a-z0-9]{0,127}")
_LABEL = re.compile(r"[a-z0-9_-]{0,63}")
_OVER = frozenset({"SUCCEEDED", "FAILED", "CANCELED"})


class Jobs:
    """The service.

    Args:
        store: Where they are.
        workflows: What executes them.
        now: The clock.
    """

    def __init__(self, store: Store, workflows: Workflows, now: Callable[[], float]) -> None:
        self._store = store
        self._workflows = workflows
        self._now = now

    def routes(self) -> Routes:
        """Its part of the API."""
        every = "/projects/{project}/locations/{location}/pipelineJobs"
        one = f"{every}/{{job}}"
        return {
            ("POST", every): self.create,
            ("GET", every): self.list,
            ("POST", f"{one}:cancel"): self.cancel,
            ("GET", one): self.get,
            ("DELETE", one): self.delete,
        }

    def create(self, call: Call) -> Document:
        """Create a job; its id is taken from then on."""
        identity = call.query.get("pipelineJobId", "")
        body = _doubles_as_integers(dict(call.body))
        if not _ID.fullmatch(identity):
            refuse(400, f"PipelineJob id '{identity}' does not match ^[a-z][-a-z0-9]{{0,127}}$")
        spec, parameters = _checked(body)
        job = self.new(identity, body, location=call.path["location"])
        self._workflows.submit(identity, spec, parameters)
        return view(job, tasks=None, numeric=_is_numeric(call))

    def new(self, identity: str, body: Document, *, location: str, state: str = "PENDING") -> Document:
        """Store a job that nothing executes yet."""
        now = stamp(self._now())
        job: Document = {
            "run_id": identity,
            "location": location,
            "body": body,
            "state": state,
            "state_history": [{"update_time": now, "state": state}],
            "created_at": now,
            "finished_at": now if state in _OVER else NEVER,
        }
        try:
            self._store.add("run", identity, job, scope=location, name=identity)
        except NameTakenError:
            refuse(409, f"Resource '{resource_name(job)}' already exists.")
        return job

    def list(self, call: Call) -> Document:
        """Those that the filter wants, without what their tasks did."""
        wanted = matching(call.query.get("filter", ""))
        jobs = [job for job in self._store.every("run", call.path["location"]) if wanted(job)]
        found, token = page(jobs, int(call.query.get("pageSize", 0)), call.query.get("pageToken", ""))
        mask = call.query.get("readMask", "")
        shown = [masked(view(job, tasks=None, numeric=_is_numeric(call)), mask) for job in found]
        return {"pipelineJobs": shown} | ({"nextPageToken": token} if token else {})

    def get(self, call: Call) -> Document:
        """One with all that is known of it."""
        job = self._find(call)
        events = self._workflows.events(job["run_id"])
        tasks = job.get("tasks") or (list(tasks_of(events)) if events.exists() else [])
        return view(job, tasks=tasks, numeric=_is_numeric(call))

    def cancel(self, call: Call) -> Document:
        """Ask one to end; it is CANCELLING until it has ended."""
        job = self._find(call)
        if not self._workflows.terminate(job):
            refuse(400, f"PipelineJob {job['run_id']} is in state {job['state']} and cannot be cancelled.")
        return {}

    def delete(self, call: Call) -> Document:
        """Delete one; its id is free again."""
        job = self._find(call)
        self._workflows.forget(job["run_id"])
        self._store.delete("run", job["run_id"])
        return {"name": f"{resource_name(job)}/operations/1", "done": True}

    def _find(self, call: Call) -> Document:
        job = self._store.find("run", call.path["job"])
        if job is None or job["location"] != call.path["location"]:
            refuse(
                404,
                f"The PipelineJob projects/demo/locations/{call.path['location']}/pipelineJobs/{call.path['job']} is not found.",
            )
        return job


def _checked(body: Document) -> tuple[Document, Document]:
    """The pipeline and its parameters; refused as the service would."""
    config = body.get("runtimeConfig") or {}
    if not str(config.get("gcsOutputDirectory", "")).startswith("gs://"):
        refuse(400, "runtime_config.gcs_output_directory must be a Cloud Storage path")
    labels = body.get("labels") or {}
    if wrong := [text for pair in labels.items() for text in pair if not _LABEL.fullmatch(text)]:
        refuse(400, f"Invalid label: {wrong}")
    parameters = config.get("parameterValues") or {}
    try:
        spec = specs.pipeline_part(body.get("pipelineSpec"))
        specs.check_parameters(spec, parameters)
    except RefusedError as exc:
        refuse(400, exc.text)
    return spec, parameters


def _doubles_as_integers(value: Any) -> Any:  # noqa: ANN401 - JSON
    """All numbers in a spec and in parameters are doubles to the service, which writes 17 for 17.0."""
    if isinstance(value, dict):
        return {name: _doubles_as_integers(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_doubles_as_integers(entry) for entry in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _is_numeric(call: Call) -> bool:
    return "enum-encoding=int" in call.query.get("$alt", "")
