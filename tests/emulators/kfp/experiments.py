"""Experiments: what runs are grouped by."""

import uuid
from collections.abc import Callable

from tests.emulators.kfp.call import Call, Routes
from tests.emulators.kfp.listing import Collection, Condition, page
from tests.emulators.kfp.refusal import refuse_invalid, refuse_missing, refuse_taken
from tests.emulators.kfp.scopes import Scopes
from tests.emulators.kfp.store import Document, NameTakenError, Store
from tests.emulators.kfp.times import NEVER, timestamp

_FIELDS = ("experiment_id", "display_name", "created_at", "description", "storage_state", "last_run_created_at")
_OLD = {"id": "experiment_id", "name": "display_name"}
_COLLECTION = Collection(
    name="experiment", plural="experiments", fields={each: each for each in _FIELDS} | _OLD | {"namespace": ""}
)
_DEFAULT = "Default"


class Experiments:
    """The experiment service.

    Args:
        store: Where they are.
        scopes: Namespaces.
        now: The clock.
    """

    def __init__(self, store: Store, scopes: Scopes, now: Callable[[], float]) -> None:
        self._store = store
        self._scopes = scopes
        self._now = now

    def routes(self) -> Routes:
        """Its part of the API."""
        return {
            ("POST", "/experiments"): self.create,
            ("GET", "/experiments"): self.list,
            ("GET", "/experiments/{experiment_id}"): self.get,
            ("DELETE", "/experiments/{experiment_id}"): self.delete,
            ("POST", "/experiments/{experiment_id}:archive"): lambda call: self._store_as("ARCHIVED", call),
            ("POST", "/experiments/{experiment_id}:unarchive"): lambda call: self._store_as("AVAILABLE", call),
        }

    def create(self, call: Call) -> Document:
        """Create an experiment."""
        if not call.body.get("display_name"):
            refuse_invalid("Experiment name is empty. Please specify a valid experiment name")
        scope = self._scopes.required(call.body, "an experiment")
        return self._add(str(call.body["display_name"]), str(call.body.get("description") or ""), scope)

    def list(self, call: Call) -> Document:
        """List a namespace's experiments."""
        scope = self._scopes.required(call.query, "an experiment")
        return page(self._store, _COLLECTION, call.query, [Condition(sql="scope = ?", values=(scope,))])

    def get(self, call: Call) -> Document:
        """Look at an experiment."""
        return self.find(call.path["experiment_id"])

    def delete(self, call: Call) -> Document:
        """Delete an experiment; its runs stay."""
        self.find(call.path["experiment_id"])
        self._store.delete("experiment", call.path["experiment_id"])
        return {}

    def find(self, experiment_id: str) -> Document:
        """An experiment by its id.

        Raises:
            RefusedError: There is none.
        """
        found = self._store.find("experiment", experiment_id)
        if found is None:
            refuse_missing("Experiment", experiment_id)
        return found

    def default(self) -> Document:
        """Where runs without an experiment go."""
        return self._store.named("experiment", "", _DEFAULT) or self._add(_DEFAULT, "", "")

    def scope(self, experiment_id: str) -> str:
        """The namespace of an experiment that exists."""
        return self._store.scope("experiment", experiment_id)

    def touch(self, experiment_id: str) -> None:
        """Note that a run was created in it."""
        body = self.find(experiment_id) | {"last_run_created_at": timestamp(self._now())}
        self._store.save("experiment", experiment_id, body)

    def _add(self, name: str, description: str, scope: str) -> Document:
        body = {
            "experiment_id": str(uuid.uuid4()),
            "display_name": name,
            "created_at": timestamp(self._now()),
            "storage_state": "AVAILABLE",
            "last_run_created_at": NEVER,
        }
        body |= {key: value for key, value in {"description": description, "namespace": scope}.items() if value}
        try:
            self._store.add("experiment", body["experiment_id"], body, scope=scope, name=name)
        except NameTakenError:
            refuse_taken("experiment", name)
        return body

    def _store_as(self, state: str, call: Call) -> Document:
        body = self.get(call) | {"storage_state": state}
        self._store.save("experiment", call.path["experiment_id"], body)
        return {}
