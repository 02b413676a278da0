"""Fixtures of many adapters' tests: the compiled test pipelines, and an MLflow database as it is in the beginning."""

from pathlib import Path

import pytest
import structlog

from tests.integration.orchestrator_contract import compile_probes
from tests.made_once import made_once
from trainer_daemon.adapters.registry import MlflowRegistry
from trainer_daemon.config import MlflowSettings


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the compiled test pipelines."""
    return made_once(tmp_path_factory, "probes", compile_probes)


@pytest.fixture(scope="session")
def mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's own SQLite file with all tables and nothing in them; to be copied, since making one takes seconds."""
    return made_once(tmp_path_factory, "mlflow-database", _make_database) / "mlflow.db"


def _make_database(folder: Path) -> None:
    registry = MlflowRegistry(MlflowSettings(tracking_uri=f"sqlite:///{folder}/mlflow.db"), log=structlog.get_logger())
    registry.champion("nobody")
    registry.close()
