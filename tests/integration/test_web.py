"""The pages over a real socket."""

import json
import socket
import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from starlette.applications import Starlette

from tests.emulators.processes import free_address
from trainer_daemon.errors import PermanentError
from trainer_daemon.loop import Loop, Rest
from trainer_daemon.telemetry.logging import quiet_log
from trainer_daemon.telemetry.metrics import Metrics
from trainer_daemon.telemetry.vitals import Vitals
from trainer_daemon.web.app import make_app
from trainer_daemon.web.server import served

TIMEOUT_S = 240.0


def ask(address: str, path: str, method: str = "GET", headers: dict[str, str] | None = None) -> tuple[HTTPResponse, str]:
    """The answer, and its text."""
    host, _, port = address.rpartition(":")
    connection = HTTPConnection(host.strip("[]"), int(port), timeout=TIMEOUT_S)
    try:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return answer, answer.read().decode()
    finally:
        connection.close()


def document(address: str, path: str) -> tuple[int, dict[str, Any]]:
    """Status and document of a health page."""
    answer, text = ask(address, path)
    return answer.status, json.loads(text)


class Page:
    """The pages of some vitals and metrics, served."""

    def __init__(self) -> None:
        self.vitals, self.metrics, self.address = Vitals(), Metrics(["churn"]), free_address()

    def app(self) -> Starlette:
        """What answers."""
        return make_app(self.vitals, self.metrics.registry)


def until(condition: Callable[[], object], what: str) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, what
        threading.Event().wait(0.01)


def test_loop_that_hangs_is_named() -> None:
    """Whatever it hangs in; the page answers all the same, and is well again once the loop has moved on."""
    page, go_on = Page(), threading.Event()

    def hang() -> Rest:
        go_on.wait(TIMEOUT_S)
        return Rest(seconds=3600.0)

    loop = Loop("reconcile", hang, quiet_log(), page.vitals.pulse("reconcile churn", 0.0))
    with served(page.address, page.app):
        assert document(page.address, "/livez") == (200, {"status": "alive", "loops": {"start": "ok", "reconcile churn": "ok"}})
        loop.start()
        until(lambda: page.vitals.lateness()["reconcile churn"] > 0, "it is late")
        status, said = document(page.address, "/livez")
        assert (status, said["status"]) == (503, "stuck")
        assert said["loops"]["reconcile churn"].endswith(" s late")
        go_on.set()
        until(lambda: document(page.address, "/livez")[0] == 200, "it is on time again")
        loop.stop()
        assert loop.join(TIMEOUT_S)


def test_part_that_cannot_be_reached_is_named() -> None:
    """Everything else is said to be well."""
    page = Page()
    ledger, mlflow = page.vitals.part("ledger"), page.vitals.part("mlflow")
    with served(page.address, page.app):
        assert document(page.address, "/readyz")[1]["parts"]["daemon"] == "is starting"
        page.vitals.running()
        ledger.answered()
        mlflow.failed("mlflow champion: no answer")
        parts = {"daemon": "ok", "ledger": "ok", "mlflow": "mlflow champion: no answer"}
        assert document(page.address, "/readyz") == (503, {"status": "not ready", "parts": parts})
        mlflow.answered()
        assert document(page.address, "/readyz") == (200, {"status": "ready", "parts": {**parts, "mlflow": "ok"}})
        page.vitals.draining()
        assert document(page.address, "/readyz")[1]["parts"]["daemon"] == "is draining"


def test_metrics_can_be_scraped() -> None:
    """With what was counted since the start, in the format that is asked for."""
    page = Page()
    page.metrics.count("drop_missed_by_notification", "warning", "churn")
    with served(page.address, page.app):
        answer, text = ask(page.address, "/metrics")
        newer, _ = ask(page.address, "/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    line = 'trainer_log_events_total{event="drop_missed_by_notification",model="churn",severity="warning"} 1.0'
    assert line in text.splitlines()
    assert answer.headers["content-type"].startswith("text/plain")
    assert newer.headers["content-type"].startswith("application/openmetrics-text")


def test_scrape_that_takes_long_holds_up_no_health() -> None:
    """A ledger that is locked must not look like a daemon that hangs."""
    page, go_on, scraped = Page(), threading.Event(), threading.Event()

    class Slow:
        def collect(self) -> list[GaugeMetricFamily]:
            scraped.set()
            go_on.wait(TIMEOUT_S)
            return []

    registry = CollectorRegistry(auto_describe=False)
    with served(page.address, lambda: make_app(page.vitals, registry)):
        registry._collector_to_names[Slow()] = []
        scrape = threading.Thread(target=ask, args=(page.address, "/metrics"))
        scrape.start()
        assert scraped.wait(TIMEOUT_S)
        assert document(page.address, "/livez")[0] == 200
        go_on.set()
        scrape.join()


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/nothing"])
def test_every_answer_forbids_what_it_does_not_need(path: str) -> None:
    """Scripts, frames, guesses about its type; and nothing can be sent."""
    page = Page()
    with served(page.address, page.app):
        answer, _ = ask(page.address, path)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["server"] is None
        assert ask(page.address, path, "POST")[0].status in {404, 405}


def test_requests_are_answered_once_there_is_something_to_answer_them() -> None:
    """A probe that comes while the libraries are being imported is not refused."""
    page, go_on = Page(), threading.Event()
    answers: list[int] = []

    def app() -> Starlette:
        go_on.wait(TIMEOUT_S)
        return page.app()

    with served(page.address, app):
        probe = threading.Thread(target=lambda: answers.append(document(page.address, "/livez")[0]))
        probe.start()
        go_on.set()
        probe.join()
    assert answers == [200]


def test_server_that_never_answered_can_be_ended() -> None:
    """A daemon that ends at once need not wait for imports."""
    page, go_on = Page(), threading.Event()

    def app() -> Starlette:
        go_on.wait(TIMEOUT_S)
        return page.app()

    with served(page.address, app):
        pass
    go_on.set()


def test_address_that_is_taken_is_named() -> None:
    """One sentence with the key, and what to do."""
    page = Page()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with (
            pytest.raises(PermanentError, match=f'http.listen is "{address}", which cannot be used'),
            served(address, page.app),
        ):
            pytest.fail("it was served")


def test_address_may_be_one_of_ipv6() -> None:
    """In brackets, as in a URL."""
    page = Page()
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    address = f"[::1]:{page.address.rpartition(':')[2]}"
    with served(address, page.app):
        assert document(address, "/livez")[0] == 200


def test_nothing_is_served_unless_asked_for() -> None:
    """An empty address opens no socket and imports nothing."""
    with served("", lambda: pytest.fail("it was made")):
        pass
