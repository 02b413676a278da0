"""A real MLflow on SQLite, shared by the tests of this folder; each test has its own model."""

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.parameters import RunIdentity
from tests.integration.pipelines.executing import Runs
from tests.integration.pipelines.registry import Registry

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def mlflow_folder(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> Path:
    """Where database and artifacts of the session's MLflow are."""
    folder = tmp_path_factory.mktemp("mlflow")
    shutil.copy(mlflow_database, folder)
    return folder


@pytest.fixture
def registry(mlflow_folder: Path) -> Registry:
    """A model of its own in the session's MLflow."""
    model = f"churn{next(_NUMBERS)}"
    return Registry(
        identity=RunIdentity(
            model=model,
            run_key="k" * 64,
            run_name="churn-2025-03-kkkkkkkkkkkk-1",
            attempt=1,
            tracking_uri=f"sqlite:///{mlflow_folder}/mlflow.db",
            experiment=model,
            artifact_location=(mlflow_folder / "artifacts").as_uri(),
        )
    )


@pytest.fixture(scope="session")
def compiled(compiled_pipelines: Path) -> Path:
    """The folder of compiled pipelines."""
    return compiled_pipelines


@pytest.fixture(scope="session")
def runs(compiled: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """Executes the compiled pipelines; what their steps import is imported once."""
    made = Runs(tmp_path_factory.mktemp("workspace"), compiled)
    yield made
    made.close()
