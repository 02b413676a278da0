import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
import structlog

from trainer_daemon.adapters.registry import MlflowRegistry
from trainer_daemon.config import MlflowSettings
from trainer_daemon.errors import PermanentError, TemporaryError

if TYPE_CHECKING:
    from trainer_daemon.policy.observations import Champion

DAEMON = """
import sys
import structlog
from trainer_daemon.adapters.registry import MlflowRegistry
from trainer_daemon.config import MlflowSettings
registry = MlflowRegistry(MlflowSettings(tracking_uri=sys.argv[1]), log=structlog.get_logger())
registry.champion("churn")
print("mlflow" in sys.modules, flush=True)
while True:
    registry.champion("churn")
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
def mine() -> Callable[[], list[psutil.Process]]:
    """The workers that the test has started; those of other tests' registries live on beside them."""
    others = set(workers())
    return lambda: [worker for worker in workers() if worker not in others]


@pytest.fixture
def connect(mine: Callable[[], list[psutil.Process]]) -> Iterator[Callable[..., MlflowRegistry]]:
    """Makes registries and closes them."""
    made: list[MlflowRegistry] = []

    def make(uri: str, *, call_timeout_s: float = 600, idle_s: float = 60) -> MlflowRegistry:
        settings = MlflowSettings(tracking_uri=uri, call_timeout_s=call_timeout_s)
        made.append(MlflowRegistry(settings, log=structlog.get_logger(), idle_s=idle_s))
        return made[-1]

    yield make
    for registry in made:
        registry.close()
    eventually(lambda: mine() == [])


def workers(of: psutil.Process | None = None) -> list[psutil.Process]:
    """Registries' child processes, dead ones that nobody waited for included."""
    found = []
    for child in (of or psutil.Process()).children():
        try:
            if child.status() == psutil.STATUS_ZOMBIE or "trainer_daemon.adapters.registry.worker" in child.cmdline():
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def eventually(look: Callable[[], bool], *, within_s: float = 240.0) -> None:
    """Look again until it is so."""
    deadline = time.monotonic() + within_s
    while not look():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        threading.Event().wait(0.02)


Connect = Callable[..., MlflowRegistry]
Mine = Callable[[], list[psutil.Process]]
ANSWERS: Sequence[tuple[tuple[int, str], type[Exception]]] = (
    ((503, "TEMPORARILY_UNAVAILABLE"), TemporaryError),
    ((500, "INTERNAL_ERROR"), TemporaryError),
    ((429, "REQUEST_LIMIT_EXCEEDED"), TemporaryError),
    ((400, "INVALID_PARAMETER_VALUE"), PermanentError),
    ((401, "UNAUTHENTICATED"), PermanentError),
    ((403, "PERMISSION_DENIED"), PermanentError),
)


def test_nothing_is_started_before_the_first_call(stub: StubServer, connect: Connect, mine: Mine) -> None:
    """A daemon that has nothing to ask has no child."""
    connect(stub.uri)
    assert mine() == []


def test_calls_use_one_worker_until_it_dies_or_rests(stub: StubServer, connect: Connect, mine: Mine) -> None:
    """A call that begins after its end does not notice, one that waits fails for now; a registry that rests has no child."""
    registry = connect(stub.uri)
    registry.rest()
    assert registry.champion("churn") is None
    (worker,) = mine()
    assert registry.champion("churn") is None
    assert mine() == [worker]
    process = registry._worker._process
    assert process is not None
    process.kill()
    eventually(lambda: process.ended)  # a thread of the dead process may keep the pipe for a moment
    assert registry.champion("churn") is None
    assert worker not in mine()
    with _unanswered(stub, registry) as call:  # the out-of-memory killer takes the call, not the daemon
        mine()[0].kill()
        with pytest.raises(TemporaryError, match=r"worker ended with code -9"):
            call.result(240)
    assert registry.champion("churn") is None
    registry.rest()
    assert mine() == []
    assert registry.champion("churn") is None
    with _unanswered(stub, registry) as call:  # a daemon that drains waits for no answer
        registry.rest()  # not in the middle of a call
        assert mine()
        registry.close()
        with pytest.raises(TemporaryError):
            call.result(240)
    with pytest.raises(TemporaryError, match="closed"):
        registry.champion("churn")


def test_idle_worker_leaves_and_the_next_call_starts_another(stub: StubServer, connect: Connect, mine: Mine) -> None:
    """No child and no zombie stays behind; the caller notices nothing, not even one that calls at that very moment."""
    registry = connect(stub.uri, idle_s=0.01)
    registry.champion("churn")
    eventually(lambda: mine() == [])
    assert registry.champion("churn") is None
    threading.Event().wait(0.01)
    assert registry.champion("churn") is None


@contextmanager
def _unanswered(stub: StubServer, registry: MlflowRegistry) -> Iterator["Future[Champion | None]"]:
    """A call that has reached a server which does not answer."""
    stub.answer = None
    stub.asked.clear()
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(registry.champion, "churn")
        assert stub.asked.wait(240)
        yield call
    stub.answer = (404, "RESOURCE_DOES_NOT_EXIST")


def test_server_that_never_answers_costs_one_deadline(stub: StubServer, connect: Connect, mine: Mine) -> None:
    """The call ends in time although the library would go on, and its process with it."""
    registry = connect(stub.uri, call_timeout_s=4)
    eventually(lambda: _answers(registry))
    stub.answer = None
    started = time.monotonic()
    with pytest.raises(TemporaryError, match="no answer within 4 s"):
        registry.champion("churn")
    assert time.monotonic() - started < 60
    eventually(lambda: mine() == [])
    stub.answer = (404, "RESOURCE_DOES_NOT_EXIST")
    eventually(lambda: _answers(registry))


def _answers(registry: MlflowRegistry) -> bool:
    """Whether a call ends in time, which is little on a busy machine."""
    try:
        return registry.champion("churn") is None
    except TemporaryError:
        return False


def test_answers_of_the_server_become_the_daemons_errors(stub: StubServer, connect: Connect) -> None:
    """What may pass is tried again, as nobody's answer is; what was refused is not. One line, and no password in it."""
    registry = connect(stub.uri.replace("http://", "http://ann:hunter2@"))
    said = []
    for answer, error in ANSWERS:
        stub.answer = answer
        with pytest.raises(error, match=r"^mlflow champion: ") as caught:
            registry.champion("churn")
        said.append(str(caught.value))
    stub.close()
    with pytest.raises(TemporaryError, match=r"^mlflow champion: ") as unreachable:
        registry.champion("churn")
    said.append(str(unreachable.value))
    assert not [line for line in said if "\n" in line or "hunter2" in line]


def test_file_whose_making_was_interrupted_is_made_anew_by_several_at_once(tmp_path: Path, connect: Connect, mine: Mine) -> None:
    """Kill -9 during the first start leaves no tables that MLflow can never use; of two daemons one migrates, none fails."""
    folder = tmp_path / "deep"
    registries = [connect(f"sqlite:///{folder}/mlflow.db") for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        call = pool.submit(registries[0].champion, "churn")
        eventually(lambda: any(path.stat().st_size > 100_000 for path in folder.glob("mlflow.db.unfinished")))
        mine()[0].kill()
        with pytest.raises(TemporaryError):
            call.result(240)
        assert not (folder / "mlflow.db").exists()
        (folder / "mlflow.db.unfinished").write_text("a table half way to its next shape" * 100)  # not every moment does harm
        assert list(pool.map(lambda registry: registry.champion("churn"), registries)) == [None, None]


def test_file_that_is_no_database_is_told(tmp_path: Path, connect: Connect, mlflow_database: Path) -> None:
    """The sentence names what is wrong, and the next call tries again."""
    file = tmp_path / "mlflow.db"
    file.write_text("this is not a database, whatever its name says" * 100)
    registry = connect(f"sqlite:///{file}")
    with pytest.raises((TemporaryError, PermanentError), match="not a database"):
        registry.champion("churn")
    shutil.copy(mlflow_database, file)
    assert registry.champion("churn") is None


def test_daemon_never_imports_mlflow_and_its_worker_dies_with_it_even_inside_a_call(stub: StubServer) -> None:
    """Both processes stay small; kill -9 of the daemon leaves nobody behind, although the library still waits for an answer."""
    with subprocess.Popen([sys.executable, "-c", DAEMON, stub.uri], stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        assert daemon.stdout.readline() == "False\n"
        stub.asked.clear()
        stub.answer = None
        assert stub.asked.wait(240)
        (worker,) = workers(psutil.Process(daemon.pid))
        assert not [file.path for file in worker.memory_maps() if "/numpy/" in file.path]
        daemon.kill()
        daemon.wait()
    eventually(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
