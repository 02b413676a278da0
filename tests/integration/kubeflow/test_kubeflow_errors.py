import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.utils import formatdate

import pytest

from tests.integration.kubeflow.conftest import Installation
from tests.integration.kubeflow.stranger import answering
from tests.integration.orchestrator_contract import RUN, Probe, a_request
from trainer_daemon.errors import PermanentError, TemporaryError


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("route", ["GET /runs", "GET /experiments", "POST /pipelines/upload_version", "POST /runs"])
def test_trouble_of_the_server_passes(installation: Installation, probe: Probe, route: str, status: int) -> None:
    """Each call says what failed, and the same submit works when the trouble is over, with one run."""
    installation.server.execute(at_once=0)
    installation.server.refuse(route, status, times=1)
    adapter = installation.connect()
    for _ in range(2):
        try:
            adapter.submit(a_request(probe))
        except TemporaryError as exc:
            assert f"{route.replace(' /', ' /apis/v2beta1/')} of Kubeflow Pipelines failed: {status}" in str(exc)  # noqa: PT017
    assert installation.server.request_counts()["POST /runs"] <= 2
    api = installation.api()
    assert len(api.runs_named(api.find_experiment("tests") or "", RUN)) == 1


def test_throttling_says_how_long_to_wait(installation: Installation) -> None:
    """And is not slept through: other models go on."""
    installation.server.refuse("GET /experiments", 429, headers={"Retry-After": "17"})
    with pytest.raises(TemporaryError, match="429") as caught:
        installation.connect().observe([RUN])
    assert caught.value.retry_after_s == 17


def test_throttling_may_name_a_date(installation: Installation) -> None:
    """By the server's clock."""
    installation.server.refuse("GET /experiments", 503, headers={"Retry-After": formatdate(time.time() + 3600, usegmt=True)})
    with pytest.raises(TemporaryError, match="503 no healthy upstream") as caught:
        installation.connect().observe([RUN])
    assert caught.value.retry_after_s is not None
    assert 3000 < caught.value.retry_after_s <= 3605


def test_refusal_keeps_the_words_of_the_server(installation: Installation, probe: Probe) -> None:
    """A person has to know what to correct."""
    installation.server.refuse("POST /runs", 400)
    with pytest.raises(PermanentError, match=r"POST /apis/v2beta1/runs of Kubeflow Pipelines failed: 400 .*on request of a test"):
        installation.connect().submit(a_request(probe))


def test_not_found_by_a_proxy_says_nothing_about_a_run(installation: Installation) -> None:
    """Only the API server knows what exists."""
    with answering({"": (404, "text/plain", b"default backend - 404")}) as url:
        adapter = installation.connect(connection={"host": url})
        with pytest.raises(
            TemporaryError, match=r"404 default backend - 404; that was not the API server, is orchestrator.host right"
        ):
            adapter.observe([RUN])


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"ok"'])
def test_answer_that_is_no_object_is_no_empty_list(installation: Installation, body: bytes) -> None:
    """Cut off on the way, for instance; the generated client would see no runs."""
    with answering({"": (200, "application/json", body)}) as url:
        adapter = installation.connect(connection={"host": url})
        with pytest.raises(TemporaryError, match="something that is no JSON object"):
            adapter.observe([RUN])


def test_call_that_is_not_answered_ends(installation: Installation) -> None:
    """A time-out that is no whole number counts, too, which the generated client would ignore."""
    installation.server.delay("GET /experiments", 600.0)
    with pytest.raises(TemporaryError, match=r"does not answer within 0.5 s"):
        installation.connect(connection={"timeout_s": 0.5}).observe([RUN])


def test_answer_that_trickles_ends(installation: Installation) -> None:
    """Each byte comes in time, the answer never does."""
    for timeout_s in (1.0, 10.0, 100.0):  # a busy machine takes longer to begin the answer
        with pytest.raises(TemporaryError) as caught, _trickling() as host:
            installation.connect(connection={"host": host, "timeout_s": timeout_s}).observe([RUN])
        if "does not answer" not in str(caught.value):
            break
    assert "did not end in time" in str(caught.value)


@contextmanager
def _trickling() -> Iterator[str]:
    """A server that begins to answer; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        stopped = threading.Event()

        def trickle() -> None:
            connection, _ = server.accept()
            with connection, suppress(ConnectionError):
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{")
                while not stopped.wait(0.1):
                    connection.sendall(b" ")

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            stopped.set()
            thread.join()


def test_connection_that_was_closed_meanwhile_is_opened_again(installation: Installation) -> None:
    """Once, for what can be asked again."""
    api = installation.api()
    installation.server.cut("GET /experiments", times=1)
    assert api.find_experiment("nothing") is None
    installation.server.cut("GET /experiments", times=2)
    with pytest.raises(TemporaryError, match=r"GET /apis/v2beta1/experiments of Kubeflow Pipelines was cut off"):
        api.find_experiment("nothing")


def test_create_is_never_sent_twice_by_itself(installation: Installation) -> None:
    """It may have happened."""
    installation.server.cut("POST /experiments", times=1)
    with pytest.raises(TemporaryError, match="was cut off"):
        installation.api().create_experiment("tests")
    assert installation.server.request_counts()["POST /experiments"] == 1


def test_host_that_is_not_there_is_named(installation: Installation) -> None:
    """With what to look at."""
    with pytest.raises(TemporaryError, match=r"cannot reach Kubeflow Pipelines at http://ml-pipeline.nowhere.invalid:8888"):
        installation.connect(connection={"host": "http://ml-pipeline.nowhere.invalid:8888"}).observe([RUN])


def test_nothing_is_written_to_stdout(installation: Installation, probe: Probe) -> None:
    """It belongs to the log; whole process, every kind of call, failures too."""
    script = """
import json, sys
from datetime import UTC, datetime
from pathlib import Path
import structlog
from trainer_daemon.adapters.kubeflow import *
from trainer_daemon.errors import TemporaryError
from trainer_daemon.ports import RunRequest
from trainer_daemon.remote.orchestrator import Habits
from trainer_daemon.remote.pipelines import Pipelines
from trainer_daemon.remote.spec import Adjustments
host, compiled, out = sys.argv[1:]
log = structlog.wrap_logger(structlog.ReturnLogger())
api = KubeflowApi(Connection(host=host, credentials=NoCredentials()), log=log)
read = lambda name: Path(compiled) / f"{name}.yaml"
library = Library(api, Pipelines(compiled=read, adjustments=Adjustments(), code_digest="", log=log), log=log)
placement, habits = Placement(experiment="tests", archive=True), Habits(run_timeout_s=600)
clock = lambda: datetime.now(UTC)
adapter = KubeflowOrchestrator(api, library, placement, habits=habits, on_change=lambda _: None, clock=clock, log=log)
adapter.submit(RunRequest(name="quiet", pipeline="probe", parameters={"out": out}, timeout_s=600))
adapter.observe(["quiet", "never-was"])
adapter.cancel("quiet")
adapter.archive("quiet")
try:
    api.get_run("x") and api._runs.run_service_get_run("x")
except TemporaryError:
    pass
assert not any(name == "kfp" or name.startswith("kfp.") for name in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, installation.server.host, installation.compiled, probe.path],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), json.dumps(done.stderr)
