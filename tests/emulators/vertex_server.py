"""The Vertex AI server of the tests as a child process, and what a test asks of it."""

import sys
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.emulators.executing_server import ExecutingServer
from tests.emulators.processes import HOST, ServerProcess, free_port

PROJECT, LOCATION = "demo-project", "europe-west1"
JOBS = f"/projects/{PROJECT}/locations/{LOCATION}/pipelineJobs"
_CALL_S = 240.0
CREATE, LIST, GET = f"POST {JOBS}", f"GET {JOBS}", f"GET {JOBS}/*"


class VertexServer(ExecutingServer):
    """Pipeline jobs of one location, kept over restarts and executed; and what a doctor asks of IAM and of Cloud Storage.

    Args:
        folder: Where its state and its log are.
    """

    def __init__(self, folder: Path) -> None:
        port, state = free_port(), folder / "vertex"
        command = [sys.executable, "-m", "tests.emulators.vertex", f"--port={port}", f"--state={state}"]
        process = ServerProcess(command, port=port, log=folder / "vertex.log", environment={})
        super().__init__(process, host=f"http://{HOST}:{port}", prefix="/v1", state=state)

    @property
    def environment(self) -> dict[str, str]:
        """What points the real client of Cloud Storage here, which knows nothing but permissions."""
        return {"STORAGE_EMULATOR_HOST": self.host}

    def script(self, *jobs: Mapping[str, Any]) -> None:
        """Make jobs that nothing executes: `id`, and if wanted `state`, `tasks`, `created_at`, `labels`."""
        self._ask("script", jobs=jobs, location=LOCATION)

    def delete(self, job: str) -> None:
        """Delete a job, as somebody may in the console."""
        request = urllib.request.Request(f"{self.host}/v1{JOBS}/{job}", method="DELETE")  # noqa: S310 - our own address
        urllib.request.urlopen(request, timeout=_CALL_S).close()  # noqa: S310

    def grant(self, *, accounts: Sequence[str] = (), buckets: Mapping[str, Sequence[str]] | None = None) -> None:
        """Say which service accounts may be acted as, and which permissions there are on which buckets."""
        self._ask("remember", accounts=accounts, buckets=buckets or {})
