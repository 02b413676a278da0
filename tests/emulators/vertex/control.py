"""What a test asks of the server, beyond what it asks of the other one that executes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.emulators.kfp.control import ControlBase
from tests.emulators.kfp.store import Document
from tests.emulators.vertex.jobs import Jobs


class Control(ControlBase):
    """Does what a test asks for; is never refused itself."""

    REMEMBERED = ControlBase.REMEMBERED | {"accounts", "buckets"}
    jobs: Jobs

    def commands(self) -> Mapping[str, Callable[..., Any]]:
        """What a test can ask for."""
        return {**super().commands(), "script": self.script}

    def script(self, *, jobs: Sequence[Document], location: str) -> None:
        """Make jobs that nothing executes.

        Args:
            jobs: Fields of each: `id`, and if wanted `state`, `tasks`, `created_at`, `labels` and others of the resource.
            location: Where.
        """
        with self._store.transaction():
            for fields in jobs:
                self._script(dict(fields), location)

    def _script(self, fields: Document, location: str) -> None:
        own = {key: fields.pop(key) for key in ("tasks", "created_at") if key in fields}
        identity, state = fields.pop("id"), fields.pop("state", "RUNNING")
        body = {"displayName": identity, "pipelineSpec": {"pipelineInfo": {"name": "scripted"}}, **fields}
        job = self.jobs.new(identity, body, location=location, state=state)
        self._store.save("run", identity, job | own)
        self._workflows.adopt(identity)
