"""What plays orchestrator and registry in a simulation keeps the contracts of the real ones."""

import pytest

from tests.integration import test_fake_orchestrator, test_registry
from tests.integration.orchestrator_contract import Connect
from tests.integration.registry_contract import Author, RegistryContract
from tests.simulation.services import Cluster, SimulatedRegistry
from trainer_daemon.ports import RunRequest


class TestSimulatedRegistry(RegistryContract):
    """The registry of a simulated world."""

    @pytest.fixture
    def model(self) -> str:
        """It has one."""
        return "churn"

    @pytest.fixture
    def registry(self) -> SimulatedRegistry:
        """One per test."""
        return SimulatedRegistry()

    @pytest.fixture
    def author(self, registry: SimulatedRegistry) -> Author:
        """Writes into it."""
        return test_registry.FakeAuthor(registry)


class ObedientCluster(Cluster):
    """Executes the contract's probe at once instead of a simulated pipeline."""

    def execute(self, request: RunRequest) -> None:
        """Do what the probe does."""
        test_fake_orchestrator.execute_probe(self, request.name, request.parameters)


class TestCluster(test_fake_orchestrator.TestFakeOrchestrator):
    """The orchestrator of a simulated world."""

    @pytest.fixture
    def connect(self) -> Connect:
        """Every adapter is the same object: memory does not outlive it."""
        cluster = ObedientCluster()
        return lambda: cluster
