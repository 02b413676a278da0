import json
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.builders import NOW
from tests.integration.doctor.servers import server
from tests.integration.registry_contract import Left
from tests.integration.test_registry import MlflowAuthor
from trainer_daemon.adapters.registry.doctor import Past, registry_probes
from trainer_daemon.adapters.registry.strangers import judge_file, judge_server
from trainer_daemon.config import MlflowSettings
from trainer_daemon.policy.alias_moves import AliasPast
from trainer_daemon.policy.checks import Check, Status
from trainer_daemon.probing import examine

if TYPE_CHECKING:
    import subprocess


def checked(uri: str, *models: str, past: AliasPast | None = None) -> list[Check]:
    """What comes out."""
    settings = MlflowSettings.model_construct(tracking_uri=uri, call_timeout_s=600.0)
    known = Past(aliases=lambda _: past or AliasPast(), clock=lambda: NOW)
    with ExitStack() as resources:
        return list(examine(registry_probes(settings, models, known, resources)))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path, author_process: "subprocess.Popen[str]") -> Path:
    """MLflow's database, in which the model `churn` has a version, and `other` has nothing."""
    path = Path(shutil.copy(mlflow_database, tmp_path_factory.mktemp("mlflow")))
    MlflowAuthor(author_process, f"sqlite:///{path}", "").version("churn", "", Left())
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
    checks = checked(f"sqlite:///{store}", "churn", "other", past=AliasPast(champion="1"))
    assert [(check.name, check.model, check.status) for check in checks] == [
        ("mlflow", "", Status.OK),
        ("strangers", "", Status.OK),
        ("registry", "churn", Status.OK),
        ("alias", "churn", Status.WARNING),
        ("registry", "other", Status.OK),
        ("alias", "other", Status.WARNING),
    ]
    assert "a tag was set on registered model churn and deleted again" in checks[2].found
    assert "a tag was set on experiment Default" in checks[4].found
    assert checks[3].found.startswith("alias champion is on no version, this ledger knows version 1: somebody else moved it")
    assert dump(store) == before


def test_registry_that_only_reads_has_failed(store: Path, tmp_path: Path) -> None:
    """MLflow answers, and a write would not get through."""
    copy = tmp_path / "mlflow.db"
    copy.write_bytes(store.read_bytes())
    connection = sqlite3.connect(copy, isolation_level=None)
    connection.execute("CREATE TRIGGER refuse BEFORE INSERT ON registered_model_tags BEGIN SELECT RAISE(ABORT, 'read-only'); END")
    connection.close()
    reachable, _, registry, _ = checked(f"sqlite:///{copy}", "churn")
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
    reachable, *others = checked(url, "churn")
    assert (reachable.status, {check.status for check in others}) == (Status.FAILED, {Status.SKIPPED})
    assert f"{url} does not answer" in reachable.found
    assert reachable.fix == f"see that MLflow is up there: curl -i {url}/health"


def test_server_that_refuses_has_failed() -> None:
    """With the variables that say who asks."""
    with server(403, {}) as url:
        reachable = checked(url, "churn")[0]
    assert (reachable.status, "refuses" in reachable.found) == (Status.FAILED, True)
    assert "MLFLOW_TRACKING_TOKEN" in reachable.fix


def test_server_that_does_not_know_its_name_has_failed() -> None:
    """As MLflow says it to whoever reaches it by the name of a Service; credentials would not help."""
    with server(403, {}, "Invalid Host header - possible DNS rebinding attack detected") as url:
        reachable = checked(url.replace("http://", "http://ann:secret@"), "churn")[0]
    name = url.removeprefix("http://")
    assert reachable.status is Status.FAILED
    assert reachable.fix == f"let MLflow answer to this name, and to its others: mlflow server --allowed-hosts {name},…"


# who else


@pytest.mark.parametrize("status", [401, 403, 302])
def test_server_that_asks_who_it_is_lets_no_stranger_write(status: int) -> None:
    """Neither without credentials nor with wrong ones; a redirect leads to a login page."""
    with server(status, {"Location": "https://login.example/"} if status == 302 else {}) as url:
        finding = judge_server(url)
    assert (finding.status, "refuses writes without credentials" in finding.found) == (Status.OK, True)


@pytest.mark.parametrize(("opens", "how"), [(None, "without credentials"), ("Basic", "with credentials that nobody has issued")])
def test_server_that_lets_anybody_write_is_told(opens: str | None, how: str) -> None:
    """The write is of a model that does not exist, so that it changes nothing."""
    with a_registry(opens) as (url, asked):
        finding = judge_server(url.replace("http://", "http://ann:secret@"))
    assert finding.status is Status.WARNING
    assert f"takes writes {how}: whoever reaches it can move alias champion" in finding.found
    assert "secret" not in finding.found
    assert "basic-auth" in finding.fix
    assert {name for name, _ in asked} == {"trainer-doctor-no-such-model"}
    assert asked[0][1] is None


@contextmanager
def a_registry(opens: str | None) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """A server that answers writes as MLflow does, for any header that begins so or for everybody; and what it was asked."""
    asked: list[tuple[str, str | None]] = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            header = self.headers.get("Authorization")
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((body["name"], header))
            allowed = opens is None or (header or "").startswith(opens)
            self.send_response(404 if allowed else 401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listening.server_address[1]}", asked
        finally:
            listening.shutdown()


@pytest.mark.parametrize(
    ("folder", "file", "status", "found"),
    [
        (0o755, 0o644, Status.OK, "only"),
        (0o755, 0o666, Status.WARNING, "mlflow.db can be written by everybody"),
        (0o777, 0o600, Status.WARNING, "can be written by everybody"),
        (0o1777, 0o600, Status.OK, "only"),
    ],
)
def test_file_that_others_can_write_is_told(tmp_path: Path, folder: int, file: int, status: Status, found: str) -> None:
    """Or whose folder lets them put another one in its place."""
    place = tmp_path / "var"
    place.mkdir()
    path = place / "mlflow.db"
    path.write_text("")
    path.chmod(file)
    place.chmod(folder)
    finding = judge_file(path)
    assert (finding.status, found in finding.found) == (status, True)
    assert finding.fix == (f"chmod go-w {path} {place}" if status is Status.WARNING else "")
