"""Fixtures of the tests of the Kubeflow adapter: the server that executes, the compiled test pipelines, adapters of both."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.emulators.fixtures import MakeKfpServer
from tests.emulators.kfp_server import KfpServer
from tests.integration.kubeflow.recurring import Stranger
from tests.integration.orchestrator_contract import Probe
from trainer_daemon.adapters.kubeflow import (
    Connection,
    Credentials,
    KubeflowApi,
    KubeflowOrchestrator,
    Library,
    NoCredentials,
    Placement,
)
from trainer_daemon.remote.orchestrator import Habits
from trainer_daemon.remote.pipelines import Pipelines
from trainer_daemon.remote.spec import Adjustments

EXPERIMENT = "tests"
Make = Callable[..., KubeflowOrchestrator]


@dataclass
class Installation:
    """One server, and everything that adapters of it say."""

    server: KfpServer
    compiled: Path
    log: structlog.testing.CapturingLogger = field(default_factory=structlog.testing.CapturingLogger)
    changed: list[str] = field(default_factory=list)
    made: list[KubeflowOrchestrator] = field(default_factory=list)

    def api(self, credentials: Credentials | None = None, **connection: Any) -> KubeflowApi:  # noqa: ANN401 - of Connection
        """A client of the server."""
        fields = {"host": self.server.host, "credentials": credentials or NoCredentials(), "timeout_s": 240.0, **connection}
        return KubeflowApi(Connection(**fields), log=self.log)

    def connect(
        self,
        credentials: Credentials | None = None,
        *,
        adjustments: Adjustments | None = None,
        connection: dict[str, Any] | None = None,
        look_s: tuple[float, float] = (0.05, 0.2),
        digest: str = "code",
        **placement: Any,  # noqa: ANN401 - of Placement and of Habits
    ) -> KubeflowOrchestrator:
        """One more adapter, as a restarted daemon would have; it looks often."""
        api = self.api(credentials, **(connection or {}))
        pipelines = Pipelines(
            compiled=lambda name: self.compiled / f"{name}.yaml",
            adjustments=adjustments or Adjustments(),
            code_digest=digest,
            log=self.log,
        )
        habits: dict[str, Any] = {key: placement.pop(key) for key in ("run_timeout_s", "link", "ending_s") if key in placement}
        made = KubeflowOrchestrator(
            api,
            Library(api, pipelines, log=self.log),
            Placement(**{"experiment": EXPERIMENT, **placement}),
            habits=Habits(**{"run_timeout_s": 3600.0, "look_s": look_s, "ending_s": 240.0, **habits}),
            on_change=self.changed.append,
            clock=lambda: datetime.now(UTC),
            log=self.log,
        )
        self.made.append(made)
        return made

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The lines of one event."""
        return [call.kwargs for call in self.log.calls if call.args == (event,)]


@pytest.fixture
def make_installation(make_kfp_server: MakeKfpServer, compiled: Path) -> Iterator[Callable[..., Installation]]:
    """Makes an installation; keyword arguments are those of `KfpServer`. All adapters are closed at the end."""
    made: list[Installation] = []

    def make(**options: Any) -> Installation:  # noqa: ANN401 - of KfpServer
        made.append(Installation(make_kfp_server(**options), compiled))
        return made[-1]

    yield make
    for installation in made:
        for adapter in installation.made:
            adapter.close()


@pytest.fixture
def installation(make_installation: Callable[..., Installation]) -> Installation:
    """One that lets everybody in."""
    return make_installation()


@pytest.fixture
def probe(tmp_path: Path) -> Probe:
    """Where the steps report."""
    return Probe(path=tmp_path / "probe.jsonl")


@pytest.fixture
def stranger(kfp_server: KfpServer, compiled: Path) -> Iterator[Stranger]:
    """Somebody else on the server of `kfp_server`."""
    made = Stranger(kfp_server, compiled / "probe.yaml")
    yield made
    made.close()
