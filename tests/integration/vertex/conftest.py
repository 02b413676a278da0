"""Fixtures of the tests of the Vertex AI adapter: the server that executes, the compiled test pipelines, adapters of both."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from google.auth.credentials import AnonymousCredentials

from tests.emulators.vertex_server import LOCATION, PROJECT, VertexServer
from tests.integration.orchestrator_contract import Probe
from trainer_daemon.adapters.vertex import Connection, VertexApi, VertexOrchestrator, Workload
from trainer_daemon.adapters.vertex.jobs import VertexJob
from trainer_daemon.remote.orchestrator import Habits
from trainer_daemon.remote.pipelines import Pipelines
from trainer_daemon.remote.spec import Adjustments

ROOT = "gs://artifacts/runs"
OURS = {"trainer_daemon": "run"}


@dataclass
class Site:
    """One server, and everything that adapters of it say."""

    server: VertexServer
    compiled: Path
    log: structlog.testing.CapturingLogger = field(default_factory=structlog.testing.CapturingLogger)
    changed: list[str] = field(default_factory=list)
    made: list[VertexOrchestrator] = field(default_factory=list)

    def api(self, **connection: Any) -> VertexApi:  # noqa: ANN401 - of Connection
        """A client of the server."""
        fields = {"project": PROJECT, "location": LOCATION, "host": self.server.host, "timeout_s": 240.0, **connection}
        return VertexApi(Connection(**fields), AnonymousCredentials(), log=self.log)  # type: ignore[no-untyped-call, unused-ignore]

    def connect(
        self,
        *,
        adjustments: Adjustments | None = None,
        connection: dict[str, Any] | None = None,
        look_s: tuple[float, float] = (0.05, 0.2),
        workload: Workload | None = None,
        **habits: Any,  # noqa: ANN401 - of Habits
    ) -> VertexOrchestrator:
        """One more adapter, as a restarted daemon would have; it looks often."""
        pipelines = Pipelines(
            compiled=lambda name: self.compiled / f"{name}.yaml",
            adjustments=adjustments or Adjustments(),
            code_digest="code",
            log=self.log,
        )
        made = VertexOrchestrator(
            self.api(**(connection or {})),
            pipelines,
            workload or Workload(pipeline_root=ROOT),
            habits=Habits(**{"run_timeout_s": 3600.0, "look_s": look_s, "ending_s": 240.0, **habits}),
            on_change=self.changed.append,
            clock=lambda: datetime.now(UTC),
            log=self.log,
        )
        self.made.append(made)
        return made

    def script(self, *jobs: dict[str, Any]) -> None:
        """Jobs of a daemon that a test plays itself."""
        self.server.script(*({"labels": OURS, **job} for job in jobs))

    def job(self, name: str) -> VertexJob:
        """A job that has to be there."""
        found = self.api().get(name)
        assert found is not None
        return found

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The lines of one event."""
        return [call.kwargs for call in self.log.calls if call.args == (event,)]


@pytest.fixture
def site(vertex_server: VertexServer, compiled: Path) -> Iterator[Site]:
    """One that lets everybody in; all adapters are closed at the end."""
    made = Site(vertex_server, compiled)
    yield made
    for adapter in made.made:
        adapter.close()


@pytest.fixture
def probe(tmp_path: Path) -> Probe:
    """Where the steps report."""
    return Probe(path=tmp_path / "probe.jsonl")
