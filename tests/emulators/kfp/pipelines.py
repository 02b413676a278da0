"""Pipelines and their versions."""

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from tests.emulators.kfp import specs
from tests.emulators.kfp.call import Call, Routes
from tests.emulators.kfp.listing import Collection, Condition, page
from tests.emulators.kfp.refusal import (
    RefusedError,
    UploadRefusedError,
    missing,
    refuse_invalid,
    refuse_missing,
    refuse_taken,
    used,
)
from tests.emulators.kfp.scopes import Scopes
from tests.emulators.kfp.store import Document, NameTakenError, Store
from tests.emulators.kfp.times import timestamp

_SHARED = ("pipeline_id", "display_name", "name", "created_at", "description")
_PIPELINES = Collection(
    name="pipeline", plural="pipelines", fields={each: each for each in _SHARED} | {"id": "pipeline_id", "namespace": ""}
)
_VERSIONS = Collection(
    name="version",
    plural="pipeline_versions",
    fields={each: each for each in (*_SHARED, "pipeline_version_id")} | {"id": "pipeline_version_id"},
)
_VERSION = "a pipeline version"
_BOTH = "a pipeline and a pipeline version"


class Pipelines:
    """The pipeline service and the upload service.

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
        one, version = "/pipelines/{pipeline_id}", "/pipelines/{pipeline_id}/versions/{pipeline_version_id}"
        return {
            ("POST", "/pipelines/upload"): self.upload,
            ("POST", "/pipelines/upload_version"): self.upload_version,
            ("GET", "/pipelines"): self.list,
            ("POST", "/pipelines"): self.create,
            ("GET", "/pipelines/names/{name}"): self.get_by_name,
            ("GET", one): self.get,
            ("DELETE", one): self.delete,
            ("GET", f"{one}/versions"): self.list_versions,
            ("GET", version): self.get_version,
            ("DELETE", version): self.delete_version,
        }

    def upload(self, call: Call) -> Document:
        """Create a pipeline with its first version, which has the same name."""
        spec = _uploaded(call)
        scope, name = self._scopes.of(call.query), _name(call, spec)
        pipeline = self._common(call, name) | {"pipeline_id": str(uuid.uuid4())} | ({"namespace": scope} if scope else {})
        try:
            self._store.add("pipeline", pipeline["pipeline_id"], pipeline, scope=scope, name=name)
        except NameTakenError as exc:
            raise _taken(_BOTH, name) from exc
        self._add_version(self._common(call, name), pipeline["pipeline_id"], spec)
        return pipeline

    def create(self, call: Call) -> Document:
        """Create a pipeline without a version."""
        name = str(call.body.get("name") or call.body.get("display_name") or "")
        if not name:
            refuse_invalid("Pipeline's name is empty. Please specify a valid name")
        scope = self._scopes.of(call.body)
        pipeline = {
            **{key: call.body[key] for key in ("display_name", "description", "namespace") if call.body.get(key)},
            "name": name,
            "created_at": timestamp(self._now()),
            "pipeline_id": str(uuid.uuid4()),
        }
        try:
            self._store.add("pipeline", pipeline["pipeline_id"], pipeline, scope=scope, name=name)
        except NameTakenError:
            refuse_taken("pipeline", name)
        return pipeline

    def upload_version(self, call: Call) -> Document:
        """Create another version of a pipeline."""
        spec = _uploaded(call)
        pipeline_id, name = call.query.get("pipelineid", ""), _name(call, spec)
        if self._store.find("pipeline", pipeline_id) is None:
            msg = "Failed to create a pipeline version"
            raise UploadRefusedError(400, msg)
        return self._add_version(self._common(call, name), pipeline_id, spec)

    def list(self, call: Call) -> Document:
        """List a namespace's pipelines."""
        here = Condition(sql="scope = ?", values=(self._scopes.of(call.query),))
        return page(self._store, _PIPELINES, call.query, [here])

    def get(self, call: Call) -> Document:
        """Look at a pipeline."""
        return self._pipeline(call.path["pipeline_id"])

    def get_by_name(self, call: Call) -> Document:
        """Look at a pipeline, by its name."""
        found = self._store.named("pipeline", self._scopes.of(call.query), call.path["name"])
        if found is None:
            refuse_missing("Pipeline", call.path["name"])
        return found

    def delete(self, call: Call) -> Document:
        """Delete a pipeline, with its versions if that was asked for."""
        identity = call.path["pipeline_id"]
        self._pipeline(identity)
        while version := self._store.newest("version", identity):
            if call.query.get("cascade", "").lower() != "true":
                found = version["pipeline_version_id"]
                msg = f"Failed to delete pipeline with id {identity} as it has existing pipeline versions (e.g. {found})"
                refuse_invalid(msg)
            self._store.delete("version", version["pipeline_version_id"])
        self._store.delete("pipeline", identity)
        return {}

    def list_versions(self, call: Call) -> Document:
        """List a pipeline's versions."""
        of_it = Condition(sql="scope = ?", values=(call.path["pipeline_id"],))
        return page(self._store, _VERSIONS, call.query, [of_it])

    def get_version(self, call: Call) -> Document:
        """Look at a version, with its spec."""
        identity = call.path["pipeline_version_id"]
        found = self._store.find("version", identity)
        if found is None or found["pipeline_id"] != call.path["pipeline_id"]:
            refuse_missing("PipelineVersion", identity)
        return found

    def delete_version(self, call: Call) -> Document:
        """Delete a version; runs of it go on."""
        self.get_version(call)
        self._store.delete("version", call.path["pipeline_version_id"])
        return {}

    def referenced(self, reference: Mapping[str, Any]) -> Document:
        """The version that a run names; the newest of the pipeline when it names no version.

        Raises:
            RefusedError: There is none; the server calls this its own error.
        """
        pipeline_id, version_id = reference.get("pipeline_id", ""), reference.get("pipeline_version_id", "")
        found = self._store.find("version", version_id) if version_id else self._store.newest("version", pipeline_id)
        if found is None:
            cause = missing("PipelineVersion", version_id) if version_id else missing("Pipeline", pipeline_id)
            msg = f"InternalServerError: Failed to create a run due to error fetching manifest: {cause}"
            raise RefusedError(500, msg)
        return found

    def _pipeline(self, identity: str) -> Document:
        found = self._store.find("pipeline", identity)
        if found is None:
            refuse_missing("Pipeline", identity)
        return found

    def _common(self, call: Call, name: str) -> Document:
        description = call.query.get("description", "")
        return {
            "name": name,
            "display_name": call.query.get("display_name") or name,
            "created_at": timestamp(self._now()),
            **({"description": description} if description else {}),
        }

    def _add_version(self, common: Document, pipeline_id: str, spec: Document) -> Document:
        version = common | {"pipeline_id": pipeline_id, "pipeline_version_id": str(uuid.uuid4()), "pipeline_spec": spec}
        try:
            self._store.add("version", version["pipeline_version_id"], version, scope=pipeline_id, name=common["name"])
        except NameTakenError as exc:
            raise _taken(_VERSION, common["name"]) from exc
        return version


def _uploaded(call: Call) -> Document:
    if call.upload is None:
        msg = "Failed to read pipeline from file"
        raise UploadRefusedError(400, msg)
    try:
        return specs.read(call.upload)
    except RefusedError as exc:
        raise UploadRefusedError(exc.status, f"Failed to create a pipeline and a pipeline version: {exc.text}") from exc


def _name(call: Call, spec: Document) -> str:
    return call.query.get("name") or call.query.get("display_name") or str(specs.pipeline_part(spec)["pipelineInfo"]["name"])


def _taken(what: str, name: str) -> UploadRefusedError:
    again, kind = f"Failed to create {what}", what.removeprefix("a ").partition(" and ")[0]
    return UploadRefusedError(409, f"{again}. The {kind} already exists.: {again}: {used(kind, name)}")
