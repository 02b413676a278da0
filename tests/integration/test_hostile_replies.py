"""What Kubeflow Pipelines and Vertex AI, or whoever answers for them, may say; `python -m tests.fuzz reply` looks further."""

import json

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz.replies import read_replies
from tests.fuzz.strategies import hostile, with_each_value_replaced
from tests.fuzz.targets import SEEDS, TARGETS


def test_honest_replies_are_read() -> None:
    """Runs, jobs, and a refusal: what the others begin with, from a server that is there."""
    runs, jobs, refusals, working, executing = map(read_replies, SEEDS["reply"])
    assert runs.count("step train failed: no") == 2
    assert jobs.count("PIPELINE_STATE_FAILED") == 2
    assert all(": 429 " in told for told in refusals)
    assert ("train" in working, "t" in executing) == (True, True)


@pytest.mark.parametrize("value", [b'"\\ud800\\u0000\\u001b[2J\\n"', b"true", b"[[7]]"])
@pytest.mark.parametrize("seed", [0, 1, 3, 4])
def test_no_part_of_an_answer_comes_further_with_what_cannot_be_shown_or_stored(seed: int, value: bytes) -> None:
    """One value after the other is what no terminal, no log and no database should be given, or of another type."""
    for data in with_each_value_replaced(SEEDS["reply"][seed], value):
        TARGETS["reply"](data)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(hostile("reply"))
def test_any_reply_is_runs_or_a_documented_error(data: bytes) -> None:
    """Of every call, over a real connection."""
    TARGETS["reply"](data)


@pytest.mark.parametrize(
    "body",
    [
        {"runs": [None], "pipeline_jobs": [None]},
        {"runs": 5, "experiments": [5], "recurringRuns": [{"trigger": {"periodic_schedule": {"interval_second": "x"}}}]},
        {"runs": [{"run_id": "1", "display_name": "churn-1"}]},
        {"runs": [{"run_id": "1", "display_name": "churn-1", "created_at": "now"}]},
        {"run_id": "r1", "created_at": "0001-01-01T00:00:00+14:00", "finished_at": 7},
        [],
        "ok",
    ],
)
def test_reply_that_describes_no_run_is_told_as_such(body: object) -> None:
    """By a temporary error: it says nothing about a run."""
    told = read_replies(b"200\n" + json.dumps(body).encode())
    assert any(" is no " in words and "is orchestrator." in words for words in told)


@pytest.mark.parametrize("retry_after", ["\xb2", "9" * 400, "Mon, 01 Jan 99999999999999999999 00:00:00 +0000"])
@pytest.mark.parametrize("body", [b"[]", b"{}", b"[" * 100_000, b'{"error": [], "message": "\\ud800\\u0000"}'])
def test_strange_refusal_is_a_documented_error(body: bytes, retry_after: str) -> None:
    """Whatever else it says."""
    assert len(read_replies(f"503|{retry_after}\n".encode("latin-1") + body)) >= 8


@pytest.mark.parametrize("kind", ["application/json; charset=klingon", "application/json; charset=utf-16"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig"])
def test_answer_is_read_whatever_encoding_it_claims_to_be_of(kind: str, encoding: str) -> None:
    """JSON shows by itself what it is encoded in."""
    body = SEEDS["reply"][0].partition(b"\n")[2].decode().encode(encoding)
    told = read_replies(f"200||{kind}\n".encode() + body)
    assert told.count("nightly") == 1
