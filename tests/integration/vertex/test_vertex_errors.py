import json
import socket
import subprocess
import sys
import threading
from functools import partial

import pytest
from google.auth.credentials import AnonymousCredentials

from tests.emulators.vertex_server import CREATE, LIST, LOCATION, PROJECT
from tests.integration.kubeflow.stranger import answering
from tests.integration.orchestrator_contract import RUN, Probe, a_request, eventually
from tests.integration.vertex.conftest import Site
from trainer_daemon.adapters.vertex import Connection, VertexApi, VertexOrchestrator
from trainer_daemon.errors import PermanentError, TemporaryError
from trainer_daemon.telemetry.logging import quiet_log


def test_quota_that_is_used_up_says_how_long_to_wait(site: Site) -> None:
    """By the details of the error or by the header, a number or a date; it is not slept through: other models go on."""
    past = "Thu, 01 Jan 2026 00:00:00 GMT"
    for headers, wait_s in (
        ({"X-Retry-Delay": "17.5s", "Retry-After": "9"}, 17.5),
        ({"Retry-After": "9"}, 9.0),
        ({"Retry-After": past}, 0.0),
        ({}, None),
    ):
        site.server.refuse(LIST, 429, headers=headers, times=1)
        with pytest.raises(TemporaryError, match="cannot list pipeline jobs: 429 on request of a test") as caught:
            site.connect().observe([RUN])
        assert caught.value.retry_after_s == wait_s
    assert len(site.server.requests(LIST)) == 4


def test_refusal_keeps_the_words_of_the_service(site: Site, probe: Probe) -> None:
    """A person has to know what to correct."""
    site.server.refuse(CREATE, 400)
    with pytest.raises(PermanentError, match=rf"cannot create pipeline job {RUN}: 400 on request of a test"):
        site.connect().submit(a_request(probe))


def test_account_that_may_not_is_said_once_and_fails_no_run(site: Site) -> None:
    """A role that somebody took away says nothing about any run; all goes on when it is back."""
    adapter = site.connect(look_s=(0.0, 0.0))
    for status, told in (
        (401, "does not take the daemon's credential: cannot list pipeline jobs: "),
        (403, "does not permit it: cannot list pipeline jobs: 403 on request of a test"),
    ):
        site.server.refuse(LIST, status, headers={"X-Reason": "IAM_PERMISSION_DENIED"})
        eventually(partial(_complains, adapter, told))
        _complaint(adapter)
        site.server.end_faults()
    assert len(site.logged("credential_refused")) == 1
    eventually(lambda: not _complaint(adapter))
    assert len(site.logged("credential_accepted")) == 1


def _complains(adapter: VertexOrchestrator, told: str) -> bool:
    return told in _complaint(adapter)


def _complaint(adapter: VertexOrchestrator) -> str:
    """What a look fails with; empty when it does not."""
    try:
        adapter.observe([RUN])
    except TemporaryError as exc:
        return str(exc)
    return ""


def test_page_of_somebody_else_says_nothing_about_a_run(site: Site, probe: Probe) -> None:
    """A region that does not exist is answered by a web server."""
    for route, status in ((CREATE, 404), (LIST, 200)):
        site.server.refuse(route, status, headers={"X-Html": "yes"})
        adapter = site.connect()
        with pytest.raises(TemporaryError, match=r"not (one of )?Vertex AI; is orchestrator.location right\?"):
            adapter.submit(a_request(probe)) if route == CREATE else adapter.observe([RUN])


def test_call_that_is_not_answered_ends(site: Site) -> None:
    """In the time that is configured."""
    site.server.delay(LIST, 600.0)
    with pytest.raises(TemporaryError, match=r"does not answer within 0.5 s"):
        site.connect(connection={"timeout_s": 0.5}).observe([RUN])


def test_answer_that_trickles_ends(site: Site) -> None:
    """Each byte comes in time, the answer never does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        stopped = threading.Event()

        def trickle() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{")
                while not stopped.wait(0.1):
                    try:
                        connection.sendall(b" ")
                    except ConnectionError:
                        return

        thread = threading.Thread(target=trickle)
        thread.start()
        host = f"http://127.0.0.1:{server.getsockname()[1]}"
        try:
            with pytest.raises(TemporaryError, match=r"does not answer within 1 s"):
                site.connect(connection={"host": host, "timeout_s": 1.0}).observe([RUN])
        finally:
            stopped.set()
            thread.join()


def told_by(page: bytes) -> str:
    """What is said of a page of a list, by whoever it is."""
    with answering({"": (200, "application/json", page)}) as host:
        nobody = AnonymousCredentials()  # type: ignore[no-untyped-call, unused-ignore]
        api = VertexApi(Connection(project=PROJECT, location=LOCATION, host=host), nobody, log=quiet_log())
        with pytest.raises(TemporaryError) as caught:
            api.open_jobs()
    return str(caught.value)


def test_job_that_lacks_what_every_job_has_is_none() -> None:
    """One without a beginning would be over its time, and be ended."""
    for job in (b'{"name": "projects/1/locations/l/pipelineJobs/x"}', b'{"createTime": "2026-01-01T00:00:00Z"}'):
        told = told_by(b'{"pipelineJobs": [' + job + b"]}")
        assert told.endswith("is no pipeline job: it lacks name or createTime; is orchestrator.location right?")


def test_list_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every page names another one."""
    monkeypatch.setattr("trainer_daemon.adapters.vertex.api._PAGES_MAX", 3)
    assert told_by(b'{"nextPageToken": "more"}') == "the list of pipeline jobs does not end after 3 pages"


def test_connection_that_was_closed_meanwhile_is_opened_again(site: Site) -> None:
    """Once, for what can be asked again."""
    api = site.api()
    site.server.cut(LIST, times=1)
    assert api.open_jobs() == ()
    site.server.cut(LIST, times=2)
    with pytest.raises(TemporaryError, match=r"cannot reach Vertex AI at http://127.0.0.1:\d+: .*aborted"):
        api.open_jobs()


def test_host_that_is_not_there_is_named(site: Site) -> None:
    """With the key that it comes from."""
    host = "https://europe-wset1-aiplatform.nowhere.invalid"
    with pytest.raises(TemporaryError, match=rf"cannot reach Vertex AI at {host}: .*; is orchestrator.location right\?"):
        site.connect(connection={"host": host}).observe([RUN])


def test_whole_process_is_quiet_and_small(site: Site, probe: Probe) -> None:
    """Nothing on stdout or stderr, no warning; neither the SDK above the client nor kfp is imported."""
    script = """
import sys
from datetime import UTC, datetime
from pathlib import Path
import structlog
from google.auth.credentials import AnonymousCredentials
from trainer_daemon.adapters.vertex import *
from trainer_daemon.ports import RunRequest
from trainer_daemon.remote.orchestrator import Habits
from trainer_daemon.remote.pipelines import Pipelines
from trainer_daemon.remote.spec import Adjustments
assert "google.cloud.aiplatform_v1" not in sys.modules
host, project, location, compiled, out = sys.argv[1:]
log = structlog.wrap_logger(structlog.ReturnLogger())
api = VertexApi(Connection(host=host, project=project, location=location), AnonymousCredentials(), log=log)
pipelines = Pipelines(compiled=lambda name: Path(compiled) / f"{name}.yaml", adjustments=Adjustments(), code_digest="", log=log)
now = lambda: datetime.now(UTC)
workload, habits = Workload(pipeline_root="gs://b/r"), Habits(run_timeout_s=600)
adapter = VertexOrchestrator(api, pipelines, workload, habits=habits, on_change=lambda _: None, clock=now, log=log)
adapter.submit(RunRequest(name="quiet", pipeline="probe", parameters={"out": out}, timeout_s=600))
adapter.observe(["quiet", "never-was"])
adapter.cancel("quiet")
adapter.close()
assert not any(name in sys.modules for name in ("kfp", "google.cloud.aiplatform"))
"""
    command = [
        sys.executable,
        "-W",
        "error",
        "-c",
        script,
        site.server.host,
        PROJECT,
        LOCATION,
        str(site.compiled),
        str(probe.path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), json.dumps(done.stderr)
