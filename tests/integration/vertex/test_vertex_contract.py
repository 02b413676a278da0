import pytest

from tests.integration.orchestrator_contract import Connect, OrchestratorContract
from tests.integration.vertex.conftest import Site
from trainer_daemon.adapters.vertex import VertexOrchestrator
from trainer_daemon.ports import Orchestrator


class TestVertexOrchestrator(OrchestratorContract):
    """The contract, on a server of Vertex AI; every test of it."""

    @pytest.fixture
    def connect(self, site: Site) -> Connect:
        """A restarted daemon is one more client."""
        return site.connect


def _conforms(adapter: VertexOrchestrator) -> Orchestrator:
    """The type checker's proof that the adapter plays the role."""
    return adapter
