"""What plays a part in a simulation keeps the contract of the real one; what makes it fast changes nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
from sqlalchemy import Connection, StaticPool, create_engine, event

from tests.integration import test_fake_orchestrator, test_registry
from tests.integration.orchestrator_contract import Connect
from tests.integration.registry_contract import Author, RegistryContract
from tests.simulation.history import live
from tests.simulation.ledger import Database, SimulatedLedger, database
from tests.simulation.replica import Makers
from tests.simulation.services import Cluster, SimulatedRegistry
from trainer_daemon.adapters.ledger.tables import metadata
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


class Plain:
    """Has statements executed by SQLAlchemy, and asks every time."""

    def __init__(self, database: Database) -> None:
        engine = create_engine("sqlite://", creator=lambda: database.connection, poolclass=StaticPool)
        event.listen(engine, "before_cursor_execute", lambda *_: database.quick.memory.forget())
        self._connection = engine.connect()

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction."""
        with self._connection.begin_nested():
            yield self._connection

    def answer(self, question: object, ask: Callable[[], Any]) -> Any:  # noqa: ANN401 - any answer
        """Remember nothing."""
        del question
        return ask()


@cache
def plain() -> Plain:
    """SQLAlchemy begins with taking back what it finds, so it is called before a history begins."""
    return Plain(database())


class PlainLedger(SimulatedLedger):
    """The ledger as it is, on the simulator's database."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._engine = self._memory = plain()
        self._known = {}

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with plain().begin() as connection:
            yield connection


def test_quick_ledger_is_the_plain_one() -> None:
    """Histories take the same course, and leave the same rows, whoever executes the statements."""
    plain()
    for number in range(20):
        course, rows = live(f"quick:{number}", makers=Makers(ledger=PlainLedger)), _rows()
        assert live(f"quick:{number}") == course
        assert _rows() == rows


def _rows() -> list[list[Any]]:
    """What the last history left."""
    return [database().connection.execute(f'SELECT * FROM "{name}"').fetchall() for name in metadata.tables]  # noqa: S608 - constants
