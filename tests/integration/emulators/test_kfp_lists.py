import json
from typing import Any
from urllib.parse import quote

import pytest
from kfp_server_api import ApiException

from tests.integration.emulators.kfp_lab import Lab, where


@pytest.fixture
def scripted(lab: Lab) -> Lab:
    """A server with five runs: two are open, one is archived, and two have the same time."""
    times = (
        "2026-01-01T00:00:01Z",
        "2026-01-01T00:00:02Z",
        "2026-01-01T00:00:02Z",
        "2026-01-01T00:00:03Z",
        "2026-01-01T00:00:04Z",
    )
    states = ("RUNNING", "PENDING", "SUCCEEDED", "FAILED", "CANCELED")
    runs: list[dict[str, Any]] = [
        {"display_name": f"run-{number}", "created_at": time, "state": state}
        for number, (time, state) in enumerate(zip(times, states, strict=True))
    ]
    runs[4]["storage_state"] = "ARCHIVED"
    lab.server.script(runs)
    return lab


def names(lab: Lab, **query: Any) -> list[str]:  # noqa: ANN401 - those of the client
    """The names in one page."""
    return [run.display_name for run in lab.client.list_runs(**query).runs or []]


def predicates(*each: dict[str, Any]) -> str:
    """A filter of several conditions."""
    return json.dumps({"predicates": each})


def test_runs_are_filtered_by_name(scripted: Lab) -> None:
    """Equality and parts; case does not matter."""
    assert names(scripted, filter=where("display_name", "run-1")) == ["run-1"]
    assert names(scripted, filter=where("display_name", "RUN-1")) == ["run-1"]
    assert len(names(scripted, filter=where("display_name", "un-", "IS_SUBSTRING"))) == 5
    assert names(scripted, filter=where("display_name", "un", "EQUALS")) == []


def test_runs_are_filtered_by_several_states_at_once(scripted: Lab) -> None:
    """The operator takes a list, and may be a number."""
    open_states = {"values": ["RUNNING", "PENDING"]}

    for operation in ("IN", 8):
        found = names(scripted, filter=predicates({"operation": operation, "key": "state", "stringValues": open_states}))
        assert sorted(found) == ["run-0", "run-1"]


def test_predicates_are_joined_by_and(scripted: Lab) -> None:
    """Times are compared as times, whatever their zone; fields may be spelt as in Python."""
    later = {"operation": "GREATER_THAN_EQUALS", "key": "created_at", "timestamp_value": "2025-12-31T23:00:02-01:00"}
    kept = {"operation": "NOT_EQUALS", "key": "storage_state", "stringValue": "ARCHIVED"}
    not_failed = {"operation": 2, "key": "state", "stringValue": "FAILED"}

    assert sorted(names(scripted, filter=predicates(later, kept, not_failed))) == ["run-1", "run-2"]


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        predicates({"operation": "EQUALS", "key": "nothing", "stringValue": "a"}),
        predicates({"operation": "EQUALS", "key": "state", "stringValue": "a", "text": "a"}),
        where("display_name", "a", "LIKE"),
        where("display_name", "a", "IN"),
        where("display_name", "100%"),
    ],
)
def test_a_wrong_filter_is_refused(lab: Lab, text: str) -> None:
    """A filter that is not understood must not find everything."""
    with pytest.raises(ApiException, match="Invalid input error") as caught:
        lab.client.list_runs(filter=text)

    assert caught.value.status == 400


def test_filters_are_decoded_twice(lab: Lab) -> None:
    """A plus sign in a name is a blank after the second time; who encodes twice is understood."""
    lab.server.script([{"display_name": "a+b"}, {"display_name": "a b"}])

    assert names(lab, filter=where("display_name", "a+b")) == ["a b"]
    assert names(lab, filter=quote(where("display_name", "a+b"))) == ["a+b"]


def test_runs_are_sorted(scripted: Lab) -> None:
    """Oldest first when nothing is asked for; times are whole seconds, and ids decide between equal ones."""
    oldest_first = names(scripted)
    assert oldest_first[0] == "run-0"
    assert oldest_first[3:] == ["run-3", "run-4"]
    assert names(scripted, sort_by="created_at desc") == oldest_first[::-1]
    assert names(scripted, sort_by="name desc") == ["run-4", "run-3", "run-2", "run-1", "run-0"]


def test_pages_follow_one_another_without_gap_or_repetition(scripted: Lab) -> None:
    """The token carries order and filter; they may be repeated, and must not change."""
    query = {"page_size": 2, "sort_by": "created_at desc", "filter": where("display_name", "run", "IS_SUBSTRING")}
    first = scripted.client.list_runs(**query)
    second = scripted.client.list_runs(page_token=first.next_page_token, page_size=2)
    third = scripted.client.list_runs(page_token=second.next_page_token, **query)

    found = [run.display_name for page in (first, second, third) for run in page.runs]
    assert found == names(scripted, sort_by="created_at desc")
    assert (first.total_size, third.next_page_token) == (5, None)
    with pytest.raises(ApiException, match="page token does not match"):
        scripted.client.list_runs(page_token=first.next_page_token, sort_by="created_at")


def test_a_page_has_at_most_200_runs(lab: Lab) -> None:
    """A larger size is not refused, but not given either; 20 is what one gets without asking."""
    lab.server.script([{"display_name": f"run-{number}"} for number in range(201)])

    assert len(names(lab, page_size=1000)) == 200
    assert len(lab.client._run_api.run_service_list_runs().runs) == 20


@pytest.mark.parametrize("query", [{"sort_by": "nothing"}, {"sort_by": "state down"}, {"page_size": -1}, {"page_token": "?"}])
def test_wrong_pages_and_orders_are_refused(lab: Lab, query: dict[str, Any]) -> None:
    """Each with a sentence."""
    with pytest.raises(ApiException, match="Invalid input error") as caught:
        lab.client.list_runs(**query)

    assert caught.value.status == 400


def test_runs_are_listed_by_experiment(lab: Lab) -> None:
    """Those of others are left out."""
    mine, other = lab.experiment("mine"), lab.experiment("other")
    lab.server.script([{"display_name": "a"}], experiment_id=mine)
    lab.server.script([{"display_name": "b"}], experiment_id=other)

    assert names(lab, experiment_id=mine) == ["a"]
    assert sorted(names(lab)) == ["a", "b"]
