"""Recurring runs: kept and shown, switched on and off; nothing fires them."""

import re
import uuid
from collections.abc import Callable

from tests.emulators.kfp import specs
from tests.emulators.kfp.call import Call, Routes
from tests.emulators.kfp.experiments import Experiments
from tests.emulators.kfp.listing import Collection, Condition, page
from tests.emulators.kfp.pipelines import Pipelines
from tests.emulators.kfp.refusal import refuse_invalid, refuse_missing
from tests.emulators.kfp.scopes import Scopes
from tests.emulators.kfp.store import Document, Store
from tests.emulators.kfp.times import timestamp

_FIELDS = ("recurring_run_id", "display_name", "created_at", "updated_at", "description", "status", "experiment_id")
_COLLECTION = Collection(
    name="recurring_run",
    plural="recurringRuns",
    fields={each: each for each in _FIELDS} | {"id": "recurring_run_id", "name": "display_name", "namespace": ""},
)
_CRON_FIELDS = 6
_CRON_FIELD = re.compile(r"[0-9A-Za-z*?/,-]+")
_KEPT = ("description", "service_account", "runtime_config", "no_catchup", "trigger", "mode")


class RecurringRuns:
    """The recurring-run service.

    Args:
        store: Where they are.
        experiments: What they belong to.
        pipelines: What they would execute.
        scopes: Namespaces.
        now: The clock.
    """

    def __init__(
        self,
        store: Store,
        *,
        experiments: Experiments,
        pipelines: Pipelines,
        scopes: Scopes,
        now: Callable[[], float],
    ) -> None:
        self._store = store
        self._experiments = experiments
        self._pipelines = pipelines
        self._scopes = scopes
        self._now = now

    def routes(self) -> Routes:
        """Its part of the API."""
        one = "/recurringruns/{recurring_run_id}"
        return {
            ("POST", "/recurringruns"): self.create,
            ("GET", "/recurringruns"): self.list,
            ("GET", one): self.get,
            ("DELETE", one): self.delete,
            ("POST", f"{one}:enable"): lambda call: self._switch("ENABLE", call),
            ("POST", f"{one}:disable"): lambda call: self._switch("DISABLE", call),
        }

    def create(self, call: Call) -> Document:
        """Create a recurring run."""
        body, now = call.body, timestamp(self._now())
        if not body.get("display_name"):
            refuse_invalid("Recurring run name is empty. Please specify a valid name")
        _check_trigger(body.get("trigger") or {})
        experiment = self._experiments.find(body["experiment_id"]) if body.get("experiment_id") else self._experiments.default()
        recurring = {
            "recurring_run_id": str(uuid.uuid4()),
            "display_name": body["display_name"],
            "experiment_id": experiment["experiment_id"],
            "created_at": now,
            "updated_at": now,
            "status": "ENABLED" if body.get("mode") == "ENABLE" else "DISABLED",
            "max_concurrency": str(body.get("max_concurrency") or 1),
            **{key: body[key] for key in _KEPT if body.get(key)},
            **self._source(call),
        }
        scope = self._experiments.scope(experiment["experiment_id"])
        self._store.add("recurring_run", recurring["recurring_run_id"], recurring, scope=scope, name=body["display_name"])
        return recurring

    def list(self, call: Call) -> Document:
        """List the recurring runs of an experiment or a namespace."""
        experiment_id = call.query.get("experiment_id")
        if experiment_id:
            here = Condition(sql="json_extract(body, '$.experiment_id') = ?", values=(experiment_id,))
        else:
            here = Condition(sql="scope = ?", values=(self._scopes.required(call.query, "a recurring run"),))
        return page(self._store, _COLLECTION, call.query, [here])

    def get(self, call: Call) -> Document:
        """Look at a recurring run."""
        identity = call.path["recurring_run_id"]
        found = self._store.find("recurring_run", identity)
        if found is None:
            refuse_missing("Job", identity)
        return found

    def delete(self, call: Call) -> Document:
        """Delete a recurring run."""
        self.get(call)
        self._store.delete("recurring_run", call.path["recurring_run_id"])
        return {}

    def _source(self, call: Call) -> Document:
        inline, reference = call.body.get("pipeline_spec"), call.body.get("pipeline_version_reference")
        if bool(inline) == bool(reference):
            refuse_invalid("A recurring run must have exactly one pipeline source")
        if inline:
            specs.pipeline_part(inline)
            return {"pipeline_spec": inline}
        version = self._pipelines.referenced(dict(reference or {}))
        return {"pipeline_version_reference": {key: version[key] for key in ("pipeline_id", "pipeline_version_id")}}

    def _switch(self, mode: str, call: Call) -> Document:
        recurring = self.get(call) | {"mode": mode, "status": f"{mode}D", "updated_at": timestamp(self._now())}
        self._store.save("recurring_run", recurring["recurring_run_id"], recurring)
        return {}


def _check_trigger(trigger: Document) -> None:
    """Accept a schedule: an interval, or a cron expression that begins with seconds.

    Raises:
        RefusedError: It is neither.
    """
    if trigger.get("periodic_schedule"):
        return
    cron = (trigger.get("cron_schedule") or {}).get("cron", "")
    fields = cron.split()
    is_descriptor = cron.startswith("@") and (len(fields) == 1 or fields[0] == "@every")
    if not is_descriptor and (len(fields) != _CRON_FIELDS or not all(map(_CRON_FIELD.fullmatch, fields))):
        refuse_invalid(
            f"Schedule cron is not a valid cron expression: expected {_CRON_FIELDS} fields, found {len(fields)}: {cron}"
        )
