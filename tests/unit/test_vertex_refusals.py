"""Which answers of Vertex AI pass by themselves, which need a person, and which fail a run."""

import json
import re
from collections.abc import Mapping
from http import HTTPStatus

import pytest
import requests
from google.api_core.exceptions import from_http_response

from trainer_daemon.adapters.vertex.errors import Forbidden, translated
from trainer_daemon.errors import TemporaryError, TrainerError
from trainer_daemon.remote.errors import Refused, Unauthenticated

HOST = "https://europe-west1-aiplatform.googleapis.com"


def refused(status: int, body: object, headers: Mapping[str, str] | None = None) -> TrainerError:
    """Our error for an answer."""
    answer = requests.Response()
    answer.status_code = status
    answer.headers.update(headers or {})
    answer.raw = None
    answer._content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer.request = requests.Request("POST", f"{HOST}/v1/x").prepare()
    with (
        pytest.raises(TrainerError) as caught,
        translated("create pipeline job x", host=HOST, timeout_s=30.0),
    ):
        raise from_http_response(answer)  # type: ignore[no-untyped-call, unused-ignore]
    return caught.value


def error(status: int, name: str, *details: Mapping[str, object]) -> dict[str, object]:
    """The body that all of Google's APIs have."""
    return {"error": {"code": status, "message": "it is so", "status": name, "details": list(details)}}


@pytest.mark.parametrize("status", [408, 425, 429, 499, 500, 502, 503, 504])
def test_trouble_passes_whoever_answers(status: int) -> None:
    """The service, or a proxy before it."""
    for body in (error(status, "X"), b"<html>busy</html>"):
        told = refused(status, body, {"Retry-After": "7"})
        assert isinstance(told, TemporaryError)
        assert not isinstance(told, Unauthenticated)
        assert str(told).startswith(f"cannot create pipeline job x: {status} ")
        assert told.retry_after_s == 7.0


@pytest.mark.parametrize("status", [400, 404, 405, 409, 412, 413])
def test_refusal_of_the_service_fails_the_run_and_one_of_a_proxy_does_not(status: int) -> None:
    """Only the service itself knows anything about a run."""
    told = refused(status, error(status, "INVALID_ARGUMENT"))
    assert isinstance(told, Refused)
    assert (told.status, str(told)) == (HTTPStatus(status), f"cannot create pipeline job x: {status} it is so")
    for body in (b"<html>no</html>", [1], {"error": "no"}, {"error": None}, b"null"):
        passing = refused(status, body)
        assert isinstance(passing, TemporaryError)
        assert re.search(r"not (one of )?Vertex AI; is orchestrator.location right\?", str(passing))


def test_two_changes_that_met_are_tried_again() -> None:
    """409 is also the status of ABORTED."""
    assert isinstance(refused(409, error(409, "ABORTED")), TemporaryError)


def test_project_that_is_not_ready_fails_no_run() -> None:
    """Google makes the service agents of a new project for minutes; 400 is also the status of a wrong run."""
    assert isinstance(refused(400, error(400, "FAILED_PRECONDITION")), TemporaryError)


def test_person_has_to_act_and_no_run_fails() -> None:
    """Who we are is not known, or may not; the constant of the reason is what the doctor reads."""
    assert type(refused(401, error(401, "UNAUTHENTICATED"))) is Unauthenticated
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED"}
    told = refused(403, error(403, "PERMISSION_DENIED", {"@type": "other"}, info))
    assert isinstance(told, Forbidden)
    assert told.reason == "SERVICE_DISABLED"
    assert str(told) == "Vertex AI does not permit it: cannot create pipeline job x: 403 it is so"


@pytest.mark.parametrize(
    ("delay", "wait_s"), [("17s", 17.0), ("0.25s", 0.25), ("3.5", 7.0), ("-1s", 7.0), ("1e3s", 7.0), (9, 7.0), (None, 7.0)]
)
def test_retry_info_comes_before_the_header(delay: object, wait_s: float) -> None:
    """What is no duration is as if it were not there."""
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
    told = refused(429, error(429, "RESOURCE_EXHAUSTED", info), {"Retry-After": "7"})
    assert isinstance(told, TemporaryError)
    assert told.retry_after_s == wait_s
