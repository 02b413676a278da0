"""The prober's thread, and the question whether an HTTP server answers, against real servers."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from trainer_daemon.adapters.http_answer import require_answer
from trainer_daemon.config import load_settings
from trainer_daemon.errors import TemporaryError
from trainer_daemon.prober import Prober, Question
from trainer_daemon.service_questions import questions
from trainer_daemon.telemetry.vitals import Part


@contextmanager
def answering(status: int) -> Iterator[tuple[str, list[str]]]:
    """A server that answers everything with this status; its URL, and the paths it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's signature
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def until(condition: Callable[[], object], timeout_s: float = 240.0) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        threading.Event().wait(0.01)


@pytest.mark.parametrize("status", [200, 401, 404])
def test_any_answer_of_a_server_that_is_well_counts(status: int) -> None:
    """Who is turned away has reached it."""
    with answering(status) as (url, _):
        require_answer(url, timeout_s=240.0)


def test_server_that_is_not_well_does_not_count() -> None:
    """A proxy answers for a server that is down."""
    with answering(503) as (url, _), pytest.raises(TemporaryError, match=r"/health answers 503"):
        require_answer(f"{url}/health", timeout_s=240.0)


def test_server_that_is_gone_is_named() -> None:
    """With what happened."""
    with answering(200) as (url, _):
        pass
    with pytest.raises(TemporaryError, match=f"{url} does not answer: .*refused"):
        require_answer(url, timeout_s=240.0)


def test_everything_is_asked_at_the_start_and_then_when_it_is_wanted() -> None:
    """A part that was heard of just now is left alone."""
    asked: list[str] = []
    quiet, heard = Part("quiet"), Part("heard")
    heard.answered()
    prober = Prober(
        [Question(part=part, ask=lambda name=part.name: asked.append(name)) for part in (quiet, heard)],  # type: ignore[misc]
        fresh_s=3600.0,
    )
    prober.start()
    until(lambda: quiet.problem == "")
    prober.want()
    prober.close()
    assert asked == ["quiet"]


def test_part_that_fails_is_asked_again() -> None:
    """Until it answers."""
    answers = [TemporaryError("away"), None]
    part = Part("mlflow")

    def ask() -> None:
        if error := answers.pop(0):
            raise error

    prober = Prober([Question(part=part, ask=ask)], fresh_s=0.0)
    prober.start()
    until(lambda: part.problem == "away")
    prober.want()
    until(lambda: part.problem == "")
    prober.close()


def test_mlflow_is_asked_for_its_health_without_saying_who_we_are(tmp_path: Path) -> None:
    """An orchestrator on this machine is there without being asked."""
    with answering(200) as (url, asked):
        file = tmp_path / "trainer.toml"
        place = url.replace("http://", "http://me:secret@")
        file.write_text(f'mlflow.tracking_uri = "{place}/tracking/"\n[[models]]\nname = "churn"\nbucket = "drops"\n')
        orchestrator, mlflow = Part("orchestrator"), Part("mlflow")
        [question] = questions(load_settings(file, {}), orchestrator=orchestrator, mlflow=mlflow)
        question.ask()
    assert asked == ["/tracking/health"]
    assert (question.part, orchestrator.problem) == (mlflow, "")


def test_kubeflow_is_asked_for_its_health(tmp_path: Path) -> None:
    """A MLflow that is a file is there without being asked."""
    with answering(500) as (url, asked):
        file = tmp_path / "trainer.toml"
        text = f'[orchestrator]\nkind = "kubeflow"\nhost = "{url}"\nimage = "trainer:1"\n'
        file.write_text(f'{text}[[models]]\nname = "churn"\nbucket = "gs://drops/in"\n')
        orchestrator, mlflow = Part("orchestrator"), Part("mlflow")
        [question] = questions(load_settings(file, {}), orchestrator=orchestrator, mlflow=mlflow)
        with pytest.raises(TemporaryError, match="500"):
            question.ask()
    assert set(asked) == {"/apis/v2beta1/healthz"}
    assert (question.part, mlflow.problem) == (orchestrator, "")
