import json
from collections.abc import Mapping
from typing import Any

import pytest
from kfp_server_api import ApiException

from tests.integration.emulators.kfp_lab import Lab, where


@pytest.fixture
def held(lab: Lab) -> Lab:
    """A server that executes nothing."""
    lab.server.hold_runs()
    return lab


def create(lab: Lab, **fields: Any) -> Any:  # noqa: ANN401 - models of the client
    """Create a run by the generated client."""
    return lab.client._run_api.run_service_create_run(run={"display_name": "a-run", **fields})


def refused(lab: Lab, **fields: Any) -> tuple[int, str]:  # noqa: ANN401 - of the API
    """Status and message of a run that is refused."""
    with pytest.raises(ApiException) as caught:
        create(lab, **fields)
    return caught.value.status, json.loads(caught.value.body)["message"]


def test_creating_a_run_twice_makes_two(held: Lab) -> None:
    """Names are no keys."""
    ids = {held.run("a-run"), held.run("a-run")}

    found = held.client.list_runs(filter=where("display_name", "a-run")).runs
    assert len(ids) == 2
    assert {run.run_id for run in found} == ids


def test_a_new_run_is_pending_and_has_not_finished(held: Lab) -> None:
    """What has not happened was in 1970."""
    run = held.client.get_run(held.run("a-run"))

    assert run.state == "PENDING"
    assert [status.state for status in run.state_history] == ["PENDING"]
    assert run.finished_at.year == 1970
    assert run.storage_state == "AVAILABLE"
    assert run.experiment_id == held.experiment()


def test_a_run_of_a_version_refers_to_it_instead_of_showing_the_spec(held: Lab) -> None:
    """Without an experiment, a run goes to the default one."""
    pipeline_id, version_id = held.upload()
    reference = {"pipeline_id": pipeline_id, "pipeline_version_id": version_id}

    run = create(held, pipeline_version_reference=reference, runtime_config={"parameters": {"out": "x"}})

    shown = held.client.get_run(run.run_id)
    assert shown.pipeline_version_reference.pipeline_version_id == version_id
    assert shown.pipeline_spec is None
    assert held.client.get_experiment(experiment_name="Default").experiment_id == shown.experiment_id


def test_a_run_without_pipeline_is_refused(held: Lab) -> None:
    """And so is one with two."""
    pipeline_id, version_id = held.upload()
    spec = held.client.get_pipeline_version(pipeline_id, version_id).pipeline_spec
    reference = {"pipeline_id": pipeline_id, "pipeline_version_id": version_id}

    assert refused(held)[0] == 400
    assert refused(held, pipeline_spec=spec, pipeline_version_reference=reference)[0] == 400
    assert refused(held, display_name="", pipeline_spec=spec)[0] == 400


def test_a_missing_version_is_called_an_internal_error(held: Lab) -> None:
    """As by the real server, although repeating is of no use."""
    status, message = refused(held, pipeline_version_reference={"pipeline_id": "none", "pipeline_version_id": "none"})

    assert status == 500
    assert "error fetching manifest" in message


def test_a_run_in_an_unknown_experiment_is_not_found(held: Lab) -> None:
    """The server does not make experiments."""
    pipeline_id, version_id = held.upload()
    reference = {"pipeline_id": pipeline_id, "pipeline_version_id": version_id}

    assert refused(held, experiment_id="none", pipeline_version_reference=reference)[0] == 404


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "parameter out is not optional"),
        ({"out": 1}, "input parameter out requires type string"),
        ({"out": "x", "seconds": True}, "input parameter seconds requires type double or integer"),
        ({"out": "x", "items": {}}, "input parameter items requires type list"),
        ({"out": "x", "more": 1}, "parameter(s) provided are not required by pipeline: more"),
    ],
)
def test_parameters_that_do_not_fit_the_pipeline_are_refused(held: Lab, parameters: Mapping[str, Any], message: str) -> None:
    """Missing ones, wrong types, and, unlike on one machine, undeclared ones."""
    pipeline_id, version_id = held.upload()
    reference = {"pipeline_id": pipeline_id, "pipeline_version_id": version_id}

    status, found = refused(held, pipeline_version_reference=reference, runtime_config={"parameters": parameters})

    assert status == 400
    assert message in found


def test_an_archived_run_is_still_listed(held: Lab) -> None:
    """It only says so; it can be taken back."""
    run_id = held.run()
    held.client.archive_run(run_id)

    assert [run.storage_state for run in held.client.list_runs().runs] == ["ARCHIVED"]

    held.client.unarchive_run(run_id)
    assert held.client.get_run(run_id).storage_state == "AVAILABLE"


def test_a_deleted_run_is_gone(held: Lab) -> None:
    """For every call."""
    run_id = held.run()
    held.client.delete_run(run_id)

    for call in (held.client.get_run, held.client.delete_run, held.client.terminate_run, held.client.archive_run):
        with pytest.raises(ApiException) as caught:
            call(run_id)
        assert caught.value.status == 404


def test_a_terminated_run_is_cancelling_until_it_has_ended(held: Lab) -> None:
    """Termination is asked for, not done."""
    run_id = held.run()
    held.server.hold_cancellations()

    held.client.terminate_run(run_id)
    assert held.state(run_id) == "CANCELING"

    held.server.hold_cancellations(hold=False)
    assert held.wait(run_id) == "CANCELED"
    assert held.client.get_run(run_id).finished_at.year > 1970


def test_only_open_runs_can_be_terminated(held: Lab) -> None:
    """One that is ending or has ended is refused, in the words of the real server."""
    (run_id,) = held.server.script([{"display_name": "a-run", "state": "SUCCEEDED"}])

    with pytest.raises(ApiException, match="Row not found") as caught:
        held.client.terminate_run(run_id)

    assert caught.value.status == 400
    assert held.state(run_id) == "SUCCEEDED"


def test_a_test_puts_runs_into_any_state(held: Lab) -> None:
    """States that the API does not know pass the client as they are."""
    ids = held.server.script([{"display_name": f"run-{number}"} for number in range(3)])

    held.server.enter(ids[0], "PAUSED")
    held.server.enter(ids[1], "FOO", task_details=[{"task_id": "1", "display_name": "train", "state": "FAILED"}])

    assert [held.state(run_id) for run_id in ids] == ["PAUSED", "FOO", "RUNNING"]
    assert held.tasks(ids[1])["train"].state == "FAILED"


def test_only_ended_runs_can_be_retried(held: Lab) -> None:
    """The refusal is called an internal error."""
    with pytest.raises(ApiException, match="does not allow retries") as caught:
        held.client._run_api.run_service_retry_run(held.run())

    assert caught.value.status == 500
