"""The health check against a real server."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from trainer_daemon.healthcheck import LIVE_PATH, UnhealthyError, ask, listen_address


@contextmanager
def answering(live: int) -> Iterator[int]:
    """A server that answers the live path with this status, and everything else with 404; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(live if self.path == LIVE_PATH else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's signature
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])  # noqa: S104 - asked, not bound
def test_daemon_that_is_alive_is_healthy(address: str) -> None:
    """Also when it listens everywhere."""
    with answering(200) as port:
        ask(f"{address}:{port}")


def test_daemon_that_makes_no_progress_is_unhealthy() -> None:
    """It says so itself."""
    with answering(503) as port, pytest.raises(UnhealthyError, match="/livez answers 503"):
        ask(f"127.0.0.1:{port}")


def test_daemon_that_does_not_answer_is_unhealthy() -> None:
    """Nobody listens."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(UnhealthyError, match=f"{address} does not answer: ConnectionRefusedError"):
            ask(address)


def test_address_is_read_as_the_daemon_reads_it(tmp_path: Path) -> None:
    """From the configuration file, unless the environment overrides it."""
    file = tmp_path / "trainer.toml"
    file.write_text('[http]\nlisten = "0.0.0.0:1"\n')
    environment = {"TRAINER_CONFIG": str(file)}
    assert listen_address(environment) == "0.0.0.0:1"
    assert listen_address({**environment, "TRAINER_HTTP__LISTEN": "[::]:2"}) == "[::]:2"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "set listen"),
        ("[http", "cannot be read"),
        ("http = 1", "set listen"),
        ('http.listen = "here"', "set listen"),
        (None, "cannot be read"),
    ],
)
def test_without_an_address_the_reason_is_told(text: str | None, reason: str, tmp_path: Path) -> None:
    """One sentence that says what to do, or what is wrong with the file."""
    file = tmp_path / "trainer.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UnhealthyError, match=reason):
        listen_address({"TRAINER_CONFIG": str(file)})
