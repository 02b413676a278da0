import json
import sqlite3
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.doctor.servers import server
from trainer_daemon.adapters.registry.doctor import registry_probes
from trainer_daemon.config import MlflowSettings
from trainer_daemon.policy.checks import Check, Status
from trainer_daemon.probing import examine

AUTHOR = Path(__file__).parents[1] / "registry_author.py"


def checked(uri: str, *models: str) -> list[Check]:
    """What comes out."""
    with ExitStack() as resources:
        return list(
            examine(registry_probes(MlflowSettings.model_construct(tracking_uri=uri, call_timeout_s=60.0), models, resources))
        )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database, in which the model `churn` has a version, and `other` has nothing."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    request = json.dumps([f"sqlite:///{path}", "register", {"model": "churn", "run_id": "", "tags": {}}])
    done = subprocess.run([sys.executable, AUTHOR], input=request + "\n", capture_output=True, text=True, check=True, timeout=120)
    assert json.loads(done.stdout) == {"result": "1"}
    return path


def dump(path: Path) -> list[str]:
    """Everything in a database."""
    connection = sqlite3.connect(path)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def test_registry_is_written_to_and_left_as_it_was(store: Path) -> None:
    """On the registered model, and on an experiment where there is none yet."""
    before = dump(store)
    checks = checked(f"sqlite:///{store}", "churn", "other")
    assert [(check.name, check.model, check.status) for check in checks] == [
        ("mlflow", "", Status.OK),
        ("registry", "churn", Status.OK),
        ("registry", "other", Status.OK),
    ]
    assert "a tag was set on registered model churn and deleted again" in checks[1].found
    assert "a tag was set on experiment Default" in checks[2].found
    assert dump(store) == before


def test_registry_that_only_reads_has_failed(store: Path, tmp_path: Path) -> None:
    """MLflow answers, and a write would not get through."""
    copy = tmp_path / "mlflow.db"
    copy.write_bytes(store.read_bytes())
    connection = sqlite3.connect(copy, isolation_level=None)
    connection.execute("CREATE TRIGGER refuse BEFORE INSERT ON registered_model_tags BEGIN SELECT RAISE(ABORT, 'read-only'); END")
    connection.close()
    (reachable, registry) = checked(f"sqlite:///{copy}", "churn")
    assert (reachable.status, registry.status) == (Status.OK, Status.FAILED)
    assert "cannot be written" in registry.found
    assert "MLFLOW_TRACKING_USERNAME" in registry.fix


def test_file_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    """It is made at the first use."""
    (check,) = checked(f"sqlite:///{tmp_path}/var/mlflow.db", "churn")
    assert (check.status, list(tmp_path.iterdir())) == (Status.OK, [])


def test_server_that_is_not_there_has_failed() -> None:
    """And nobody tries to write to it."""
    with server(200, {}) as url:
        pass
    reachable, registry = checked(url, "churn")
    assert (reachable.status, registry.status) == (Status.FAILED, Status.SKIPPED)
    assert f"{url} does not answer" in reachable.found
    assert reachable.fix == f"see that MLflow is up there: curl -i {url}/health"


def test_server_that_refuses_has_failed() -> None:
    """With the variables that say who asks."""
    with server(403, {}) as url:
        reachable, _ = checked(url, "churn")
    assert (reachable.status, "refuses" in reachable.found) == (Status.FAILED, True)
    assert "MLFLOW_TRACKING_TOKEN" in reachable.fix
