import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
import urllib3
from kfp_server_api import ApiException

from tests.acceptance.harness import wait_until
from tests.integration.emulators.kfp_lab import ANSWER_S, Lab

FOR_EVER_S = 600.0


@pytest.fixture
def held(lab: Lab) -> Lab:
    """A server that executes nothing, with an experiment."""
    lab.server.hold_runs()
    lab.experiment()
    return lab


def status_of(call: Callable[[], Any]) -> int:
    """What a call that fails is told."""
    with pytest.raises(ApiException) as caught:
        call()
    return int(caught.value.status)


@pytest.mark.parametrize("status", [401, 409, 500])
def test_the_server_refuses_with_its_own_body(lab: Lab, status: int) -> None:
    """As its gateway writes errors."""
    lab.server.refuse("GET /runs", status, times=1)

    with pytest.raises(ApiException) as caught:
        lab.client.list_runs()

    assert caught.value.status == status
    assert set(json.loads(caught.value.body)) == {"error", "code", "message", "details"}
    assert lab.client.list_runs().runs is None  # it was for one request


@pytest.mark.parametrize("status", [403, 429, 503])
def test_a_proxy_refuses_with_plain_text(lab: Lab, status: int) -> None:
    """These statuses do not come from the server itself."""
    lab.server.refuse("GET /runs", status)

    with pytest.raises(ApiException) as caught:
        lab.client.list_runs()

    assert caught.value.status == status
    assert caught.value.headers["content-type"].startswith("text/plain")


def test_a_fault_fits_its_route_only(held: Lab) -> None:
    """Other calls are answered, and later faults wait for the first one to be over."""
    run_id = held.run()
    held.server.refuse("POST /runs/*:terminate", 500, times=1)
    held.server.refuse("POST /runs/*", 503)

    assert held.state(run_id) == "PENDING"
    assert status_of(lambda: held.client.terminate_run(run_id)) == 500
    assert status_of(lambda: held.client.terminate_run(run_id)) == 503
    held.server.end_faults()
    held.client.terminate_run(run_id)


def test_a_fault_ends_with_its_time(lab: Lab) -> None:
    """Until then every request is refused."""
    lab.server.refuse("GET /runs", 500, seconds=FOR_EVER_S)
    assert status_of(lab.client.list_runs) == 500
    lab.server.end_faults()

    lab.server.refuse("GET /runs", 500, seconds=0.0)
    assert lab.client.list_runs().runs is None


def test_the_client_itself_waits_and_repeats_when_it_is_throttled(lab: Lab) -> None:
    """It obeys `Retry-After` for calls that only look, three times, whatever its time limit is."""
    lab.server.refuse("GET /runs", 429, times=2, headers={"Retry-After": "0"})

    assert lab.client.list_runs().runs is None
    assert lab.server.request_counts()["GET /runs"] == 3


def test_a_lost_reply_leaves_a_run_behind(held: Lab) -> None:
    """The client sees a connection that ends; repeating makes a second run."""
    held.server.lose_replies("POST /runs", times=1)

    with pytest.raises(urllib3.exceptions.ProtocolError):
        held.run("a-run")
    held.run("a-run")

    assert [run.display_name for run in held.client.list_runs().runs] == ["a-run", "a-run"]


def test_a_cut_connection_leaves_nothing_behind(held: Lab) -> None:
    """The client cannot tell this from a lost reply."""
    held.server.cut("POST /runs", times=1)

    with pytest.raises(urllib3.exceptions.ProtocolError):
        held.run("a-run")

    assert held.client.list_runs().runs is None


def test_a_slow_create_is_done_although_nobody_waits_for_it(held: Lab) -> None:
    """A client that gives up has a run all the same."""
    held.server.delay("POST /runs", FOR_EVER_S, times=1)
    body = {"display_name": "a-run", "pipeline_spec": None}
    body["pipeline_version_reference"] = dict(zip(("pipeline_id", "pipeline_version_id"), held.upload(), strict=True))  # type: ignore[assignment]
    body["runtime_config"] = {"parameters": {"out": "x"}}  # type: ignore[assignment]

    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        held.client._run_api.run_service_create_run(run=body, _request_timeout=(10, 0.2))

    assert held.client.list_runs().runs is None
    held.server.end_faults()
    wait_until(lambda: held.client.list_runs().runs, "the run is there", ANSWER_S)


def test_a_slow_reply_holds_up_no_other(lab: Lab) -> None:
    """As if each request had a thread of its own."""
    lab.server.delay("GET /runs", FOR_EVER_S, times=1)
    looking = threading.Thread(target=_look, args=(lab,), daemon=True)
    looking.start()
    wait_until(lambda: lab.server.requests("GET /runs"), "the slow request arrives", ANSWER_S)

    assert lab.client.list_experiments().experiments is None
    lab.server.kill()
    looking.join(ANSWER_S)


def test_requests_are_logged_also_when_their_reply_is_lost(held: Lab) -> None:
    """In order, with query and status, over restarts; those of the test itself are not among them."""
    held.client.list_runs(page_size=7)
    held.server.lose_replies("POST /runs", times=1)
    with pytest.raises(urllib3.exceptions.ProtocolError):
        held.run()
    held.server.restart()

    (listed,), (lost,) = held.server.requests("GET /runs"), held.server.requests("POST /runs")
    assert (listed.status, lost.status) == (200, None)
    assert "page_size=7" in listed.query
    assert listed.time <= lost.time
    assert held.server.requests(after=lost.number) == []


def _look(lab: Lab) -> None:
    with pytest.raises((urllib3.exceptions.HTTPError, ApiException)):
        lab.client.list_runs()
