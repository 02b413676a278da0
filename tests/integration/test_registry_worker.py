import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
import structlog

from trainer_daemon.adapters.registry import MlflowRegistry
from trainer_daemon.config import MlflowSettings
from trainer_daemon.errors import PermanentError, TemporaryError

DAEMON = """
import sys
import structlog
from trainer_daemon.adapters.registry import MlflowRegistry
from trainer_daemon.config import MlflowSettings
registry = MlflowRegistry(MlflowSettings(tracking_uri=sys.argv[1]), log=structlog.get_logger())
registry.champion("churn")
print("mlflow" in sys.modules, flush=True)
registry.close()
"""


class StubServer:
    """Answers every request as it is told to: with an error code of MLflow, or not at all."""

    def __init__(self) -> None:
        self.answer: tuple[int, str] | None = (404, "RESOURCE_DOES_NOT_EXIST")
        self.asked = threading.Event()
        self.released = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.set()
                if outer.answer is None:
                    outer.released.wait()
                    return
                status, code = outer.answer
                body = json.dumps({"error_code": code, "message": "says\nthe stub"}).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Stay quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.uri = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self) -> None:
        """Let go of whoever waits."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def stub() -> Iterator[StubServer]:
    """A server that says that nothing exists, until it is told otherwise."""
    server = StubServer()
    yield server
    server.close()


@pytest.fixture
def connect() -> Iterator[Callable[..., MlflowRegistry]]:
    """Makes registries and closes them."""
    made: list[MlflowRegistry] = []

    def make(uri: str, *, call_timeout_s: float = 60, idle_s: float = 60) -> MlflowRegistry:
        settings = MlflowSettings(tracking_uri=uri, call_timeout_s=call_timeout_s)
        made.append(MlflowRegistry(settings, log=structlog.get_logger(), idle_s=idle_s))
        return made[-1]

    yield make
    for registry in made:
        registry.close()
    assert workers() == []


def workers(of: psutil.Process | None = None) -> list[psutil.Process]:
    """The registry's child processes, dead ones that nobody waited for included."""
    found = []
    for child in (of or psutil.Process()).children():
        try:
            if child.status() == psutil.STATUS_ZOMBIE or "trainer_daemon.adapters.registry.worker" in child.cmdline():
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def eventually(look: Callable[[], bool], *, within_s: float = 30.0) -> None:
    """Look again until it is so."""
    deadline = time.monotonic() + within_s
    while not look():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        threading.Event().wait(0.02)


Connect = Callable[..., MlflowRegistry]


def test_nothing_is_started_before_the_first_call(stub: StubServer, connect: Connect) -> None:
    """A daemon that has nothing to ask has no child."""
    connect(stub.uri)
    assert workers() == []


def test_prestart_makes_the_worker_that_the_call_uses(stub: StubServer, connect: Connect) -> None:
    """It returns at once, and there is one process in the end."""
    registry = connect(stub.uri)
    registry.prestart()
    registry.prestart()
    (worker,) = workers()
    assert registry.champion("churn") is None
    assert workers() == [worker]


def test_idle_worker_leaves_and_the_next_call_starts_another(stub: StubServer, connect: Connect) -> None:
    """No child and no zombie stays behind; the caller notices nothing."""
    registry = connect(stub.uri, idle_s=0.2)
    registry.champion("churn")
    eventually(lambda: workers() == [])
    assert registry.champion("churn") is None


def test_calls_at_the_very_moment_of_idle_exit_succeed(stub: StubServer, connect: Connect) -> None:
    """A worker that leaves without having begun the call is replaced silently."""
    registry = connect(stub.uri, idle_s=0.01)
    registry.champion("churn")
    for pause_s in (0.005, 0.01, 0.012, 0.015):
        threading.Event().wait(pause_s)
        assert registry.champion("churn") is None


def test_killed_worker_is_temporary_and_replaced(stub: StubServer, connect: Connect) -> None:
    """The out-of-memory killer takes the call, not the daemon."""
    registry = connect(stub.uri)
    registry.champion("churn")
    stub.answer = None
    stub.asked.clear()
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(registry.champion, "churn")
        assert stub.asked.wait(20)
        workers()[0].kill()
        with pytest.raises(TemporaryError, match=r"worker ended with code -9"):
            call.result(20)
    stub.answer = (404, "RESOURCE_DOES_NOT_EXIST")
    assert registry.champion("churn") is None


def test_worker_killed_between_calls_is_replaced(stub: StubServer, connect: Connect) -> None:
    """A call that begins after its end does not notice."""
    registry = connect(stub.uri)
    registry.champion("churn")
    process = registry._worker._process
    assert process is not None
    process.kill()
    eventually(lambda: process.ended)  # a thread of the dead process may keep the pipe for a moment
    assert registry.champion("churn") is None


def test_server_that_never_answers_costs_one_deadline(stub: StubServer, connect: Connect) -> None:
    """The call ends in time although the library would go on, and its process with it."""
    registry = connect(stub.uri, call_timeout_s=1)
    registry.champion("churn")
    stub.answer = None
    started = time.monotonic()
    with pytest.raises(TemporaryError, match="no answer within 1 s"):
        registry.champion("churn")
    assert time.monotonic() - started < 2
    assert workers() == []
    stub.answer = (404, "RESOURCE_DOES_NOT_EXIST")
    assert registry.champion("churn") is None


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((503, "TEMPORARILY_UNAVAILABLE"), TemporaryError),
        ((500, "INTERNAL_ERROR"), TemporaryError),
        ((429, "REQUEST_LIMIT_EXCEEDED"), TemporaryError),
        ((400, "INVALID_PARAMETER_VALUE"), PermanentError),
        ((401, "UNAUTHENTICATED"), PermanentError),
        ((403, "PERMISSION_DENIED"), PermanentError),
    ],
)
def test_answers_of_the_server_become_the_daemons_errors(
    stub: StubServer, connect: Connect, answer: tuple[int, str], error: type[Exception]
) -> None:
    """What may pass is tried again, what was refused is not; the message is one line."""
    stub.answer = answer
    with pytest.raises(error) as caught:
        connect(stub.uri).champion("churn")
    assert str(caught.value).startswith("mlflow champion: ")
    assert "\n" not in str(caught.value)


def test_unreachable_server_is_temporary_and_no_password_is_told(connect: Connect) -> None:
    """Nobody listens there."""
    with pytest.raises(TemporaryError, match="mlflow champion") as caught:
        connect("http://ann:hunter2@127.0.0.1:9").champion("churn")
    assert "hunter2" not in str(caught.value)


def test_fresh_file_is_made_by_several_at_once(tmp_path: Path, connect: Connect) -> None:
    """Two daemons meet a file without tables; one migrates, nobody fails."""
    uri = f"sqlite:///{tmp_path}/deep/mlflow.db"
    registries = [connect(uri) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(lambda registry: registry.champion("churn"), registries)) == [None, None, None]


def test_file_whose_making_was_interrupted_is_made_anew(tmp_path: Path, connect: Connect) -> None:
    """Kill -9 during the first start must not leave tables that MLflow can never use again."""
    registry = connect(f"sqlite:///{tmp_path}/mlflow.db")
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(registry.champion, "churn")
        eventually(lambda: any(path.stat().st_size > 100_000 for path in tmp_path.glob("mlflow.db.unfinished")))
        workers()[0].kill()
        with pytest.raises(TemporaryError):
            call.result(20)
    assert not (tmp_path / "mlflow.db").exists()
    (tmp_path / "mlflow.db.unfinished").write_text("a table half way to its next shape" * 100)  # not every moment does harm
    assert registry.champion("churn") is None


def test_file_that_is_no_database_is_told(tmp_path: Path, connect: Connect) -> None:
    """The sentence names what is wrong, and the next call tries again."""
    (tmp_path / "mlflow.db").write_text("this is not a database, whatever its name says" * 100)
    registry = connect(f"sqlite:///{tmp_path}/mlflow.db")
    for _ in range(2):
        with pytest.raises((TemporaryError, PermanentError), match="not a database"):
            registry.champion("churn")


def test_worker_dies_with_its_daemon_even_inside_a_call(stub: StubServer) -> None:
    """Kill -9 of the daemon leaves nobody behind, although the library still waits for an answer."""
    stub.answer = None
    with subprocess.Popen([sys.executable, "-c", DAEMON, stub.uri]) as daemon:
        assert stub.asked.wait(30)
        (worker,) = workers(psutil.Process(daemon.pid))
        daemon.kill()
        daemon.wait()
    eventually(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE, within_s=5)


def test_daemon_never_imports_mlflow(stub: StubServer) -> None:
    """Its process stays small."""
    done = subprocess.run([sys.executable, "-c", DAEMON, stub.uri], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n"


def test_closing_ends_a_call_under_way(stub: StubServer, connect: Connect) -> None:
    """A daemon that drains does not wait for a server that does not answer."""
    stub.answer = None
    registry = connect(stub.uri)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(registry.champion, "churn")
        assert stub.asked.wait(30)
        started = time.monotonic()
        registry.close()
        assert time.monotonic() - started < 2
        with pytest.raises(TemporaryError):
            call.result(5)
    with pytest.raises(TemporaryError, match="closed"):
        registry.champion("churn")
