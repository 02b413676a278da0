"""Runs: created, listed, ended. What executes them is in `workflows`."""

import uuid
from collections.abc import Callable
from typing import Any

from tests.emulators.kfp import specs
from tests.emulators.kfp.call import Call, Routes
from tests.emulators.kfp.experiments import Experiments
from tests.emulators.kfp.listing import Collection, Condition, page
from tests.emulators.kfp.pipelines import Pipelines
from tests.emulators.kfp.refusal import RefusedError, refuse_invalid, refuse_missing
from tests.emulators.kfp.scopes import Scopes
from tests.emulators.kfp.store import Document, Store
from tests.emulators.kfp.times import NEVER, timestamp
from tests.emulators.kfp.workflows import Workflows

_FIELDS = (
    "run_id", "display_name", "created_at", "finished_at", "scheduled_at", "description", "storage_state", "experiment_id",
    "state", "recurring_run_id",
)  # fmt: skip
RUNS = Collection(
    name="run",
    plural="runs",
    fields={each: each for each in _FIELDS} | {"id": "run_id", "name": "display_name", "namespace": ""},
)
_KEPT = ("description", "service_account")


class Runs:
    """The run service.

    Args:
        store: Where they are.
        workflows: What executes them.
        experiments: What they belong to.
        pipelines: What they execute.
        scopes: Namespaces.
        now: The clock.
    """

    def __init__(
        self,
        store: Store,
        workflows: Workflows,
        *,
        experiments: Experiments,
        pipelines: Pipelines,
        scopes: Scopes,
        now: Callable[[], float],
    ) -> None:
        self._store = store
        self._workflows = workflows
        self._experiments = experiments
        self._pipelines = pipelines
        self._scopes = scopes
        self._now = now

    def routes(self) -> Routes:
        """Its part of the API."""
        one = "/runs/{run_id}"
        return {
            ("POST", "/runs"): self.create,
            ("GET", "/runs"): self.list,
            ("GET", one): self.get,
            ("DELETE", one): self.delete,
            ("POST", f"{one}:terminate"): self.terminate,
            ("POST", f"{one}:retry"): self.retry,
            ("POST", f"{one}:archive"): lambda call: self._store_as("ARCHIVED", call),
            ("POST", f"{one}:unarchive"): lambda call: self._store_as("AVAILABLE", call),
        }

    def create(self, call: Call) -> Document:
        """Create a run: another one each time, also with the name of an earlier one."""
        body = call.body
        if not body.get("display_name"):
            refuse_invalid("The run name is empty. Please specify a valid name")
        source = self._source(body)
        spec = specs.pipeline_part(source["pipeline_spec"])
        config = body.get("runtime_config") or {}
        parameters = config.get("parameters") or {}
        experiment = self._experiment(body)
        specs.check_parameters(spec, parameters)
        shown = {key: value for key, value in source.items() if key != "pipeline_spec" or "pipeline_version_id" not in source}
        run = self._new(body, experiment) | shown | {"runtime_config": {"parameters": parameters, **_root(config)}}
        self._add(run)
        self._workflows.submit(run["run_id"], spec, parameters)
        self._experiments.touch(run["experiment_id"])
        return run

    def list(self, call: Call) -> Document:
        """List the runs of an experiment or a namespace."""
        found = page(self._store, RUNS, call.query, [self._where(call)])
        return found | ({"runs": [self._workflows.detailed(run) for run in found["runs"]]} if "runs" in found else {})

    def get(self, call: Call) -> Document:
        """Look at a run."""
        return self._workflows.detailed(self._run(call))

    def delete(self, call: Call) -> Document:
        """Delete a run, and whatever still executes it."""
        run_id = self._run(call)["run_id"]
        self._workflows.forget(run_id)
        self._store.delete("run", run_id)
        return {}

    def terminate(self, call: Call) -> Document:
        """Ask a run to end; it is CANCELING until it has ended."""
        run = self._run(call)
        if not self._workflows.terminate(run):
            run_id = run["run_id"]
            msg = (
                f"Failed to terminate a run: Failed to terminate run {run_id}: "
                f"Invalid input error: Failed to terminate a run {run_id}. Row not found"
            )
            raise RefusedError(400, msg)
        return {}

    def retry(self, call: Call) -> Document:
        """Execute a run that failed once more, all of its steps."""
        run = self._run(call)
        if run["state"] not in {"FAILED", "CANCELED"}:
            msg = f"InternalServerError: Failed to retry run {run['run_id']} as it does not allow retries"
            raise RefusedError(500, msg)
        self._workflows.retry(run)
        return {}

    def _run(self, call: Call) -> Document:
        found = self._store.find("run", call.path["run_id"])
        if found is None:
            refuse_missing("Run", call.path["run_id"])
        return found

    def _source(self, body: Any) -> Document:  # noqa: ANN401 - JSON of a stranger
        inline, reference = body.get("pipeline_spec"), body.get("pipeline_version_reference")
        if bool(inline) == bool(reference):
            refuse_invalid("A run must have exactly one pipeline source: pipeline spec or pipeline version reference")
        if inline:
            return {"pipeline_spec": inline}
        version = self._pipelines.referenced(reference)
        reference = {key: version[key] for key in ("pipeline_id", "pipeline_version_id")}
        return {
            "pipeline_spec": version["pipeline_spec"],
            "pipeline_version_reference": reference,
            "pipeline_version_id": version["pipeline_version_id"],
        }

    def _experiment(self, body: Any) -> str:  # noqa: ANN401 - JSON of a stranger
        if body.get("experiment_id"):
            return str(self._experiments.find(body["experiment_id"])["experiment_id"])
        if self._scopes.is_multi_user:
            refuse_invalid("A run cannot have an empty namespace in multi-user mode")
        return str(self._experiments.default()["experiment_id"])

    def _new(self, body: Any, experiment_id: str) -> Document:  # noqa: ANN401 - JSON of a stranger
        now = timestamp(self._now())
        return {
            "experiment_id": experiment_id,
            "run_id": str(uuid.uuid4()),
            "display_name": body["display_name"],
            "storage_state": "AVAILABLE",
            "created_at": now,
            "scheduled_at": now,
            "finished_at": NEVER,
            "state": "PENDING",
            "state_history": [{"update_time": now, "state": "PENDING"}],
            **{key: body[key] for key in _KEPT if body.get(key)},
        }

    def _add(self, run: Document) -> None:
        scope = self._experiments.scope(run["experiment_id"])
        self._store.add("run", run["run_id"], run, scope=scope, name=run["display_name"])

    def _where(self, call: Call) -> Condition:
        experiment_id = call.query.get("experiment_id")
        if experiment_id:
            self._experiments.find(experiment_id)
            return Condition(sql="json_extract(body, '$.experiment_id') = ?", values=(experiment_id,))
        return Condition(sql="scope = ?", values=(self._scopes.required(call.query, "a run"),))

    def _store_as(self, state: str, call: Call) -> Document:
        run = self._run(call) | {"storage_state": state}
        self._store.save("run", run["run_id"], run)
        return {}


def _root(config: Any) -> Document:  # noqa: ANN401 - JSON of a stranger
    return {"pipeline_root": config["pipeline_root"]} if config.get("pipeline_root") else {}
