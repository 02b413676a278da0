import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kfp_server_api import ApiException

from tests.integration.emulators.kfp_lab import Lab, MakeLab, where


def refusal(call: Callable[[], Any]) -> tuple[int, dict[str, Any]]:
    """Status and body of a call that is refused."""
    with pytest.raises(ApiException) as caught:
        call()
    return caught.value.status, json.loads(caught.value.body)


def test_the_server_says_whether_it_has_many_users(make_lab: MakeLab) -> None:
    """`healthz` is what the client asks first; false is not written out."""
    assert make_lab().client.get_kfp_healthz().multi_user is None
    assert make_lab(is_multi_user=True).client.get_kfp_healthz().multi_user is True


def test_an_experiment_is_found_by_name_and_by_id(lab: Lab) -> None:
    """It keeps what it was made with."""
    made = lab.client.create_experiment("churn", description="of customers")

    assert lab.client.get_experiment(experiment_name="churn") == made
    assert lab.client.get_experiment(experiment_id=made.experiment_id).description == "of customers"


def test_a_second_experiment_of_the_same_name_is_a_conflict(lab: Lab) -> None:
    """The error has the body of the server's gateway."""
    lab.experiment("churn")
    api = lab.client._experiment_api

    status, body = refusal(lambda: api.experiment_service_create_experiment(experiment={"display_name": "churn"}))

    assert (status, body["code"], body["details"][0]["code"]) == (409, 6, 6)
    assert body["error"] == body["message"]
    assert "The name churn already exists" in body["message"]


def test_an_unknown_experiment_is_not_found(lab: Lab) -> None:
    """By its id."""
    status, body = refusal(lambda: lab.client.get_experiment(experiment_id="none"))

    assert (status, body["code"], body["message"]) == (404, 5, "ResourceNotFoundError: Experiment none not found.")


def test_an_uploaded_pipeline_is_found_by_name_and_has_one_version(lab: Lab) -> None:
    """The version has the pipeline's name, and the spec that was uploaded."""
    pipeline_id, version_id = lab.upload("churn")

    version = lab.client.get_pipeline_version(pipeline_id, version_id)

    assert lab.client.get_pipeline_id("churn") == pipeline_id
    assert lab.client._pipelines_api.pipeline_service_get_pipeline_by_name("churn").pipeline_id == pipeline_id
    assert version.display_name == "churn"
    assert version.pipeline_spec["pipelineInfo"]["name"] == "probe"


def test_a_second_pipeline_of_the_same_name_is_a_conflict(lab: Lab) -> None:
    """The body is that of the upload handler, which differs from all others."""
    lab.upload("churn")

    status, body = refusal(lambda: lab.upload("churn"))

    assert status == 409
    assert set(body) == {"error_message", "error_details"}
    assert "The name churn already exists" in body["error_message"]


def test_version_names_are_unique_in_their_pipeline_only(lab: Lab) -> None:
    """Another pipeline may have a version of the same name."""
    for name in ("churn", "uplift"):
        lab.upload(name)
        lab.client.upload_pipeline_version(lab.package("two_steps"), "v2", pipeline_name=name)

    status, _ = refusal(lambda: lab.client.upload_pipeline_version(lab.package("two_steps"), "v2", pipeline_name="churn"))

    assert status == 409


def test_a_file_that_is_no_pipeline_is_refused(lab: Lab, tmp_path: Path) -> None:
    """So is one whose pipeline has a name that no cluster takes."""
    nonsense, badly_named = tmp_path / "nonsense.yaml", tmp_path / "badly_named.yaml"
    nonsense.write_text("a: b\n")
    badly_named.write_text(Path(lab.package("probe")).read_text().replace("name: probe\n", "name: A Probe\n"))

    for file in (nonsense, badly_named):
        status, body = refusal(lambda file=file: lab.client.upload_pipeline(str(file), "churn"))  # type: ignore[misc]
        assert (status, set(body)) == (400, {"error_message", "error_details"})


def test_a_pipeline_with_versions_is_deleted_only_with_them(lab: Lab) -> None:
    """Cascading is asked for."""
    pipeline_id, version_id = lab.upload("churn")

    status, _ = refusal(lambda: lab.client.delete_pipeline(pipeline_id))
    lab.client._pipelines_api.pipeline_service_delete_pipeline(pipeline_id, cascade=True)

    assert status == 400
    assert refusal(lambda: lab.client.get_pipeline_version(pipeline_id, version_id))[0] == 404
    assert refusal(lambda: lab.client.get_pipeline(pipeline_id))[0] == 404


def test_an_empty_list_has_no_list(lab: Lab) -> None:
    """The client shows None, since the server leaves empty fields out."""
    assert lab.client.list_pipelines().pipelines is None
    assert lab.client.list_runs(filter=where("display_name", "none")).runs is None


def test_namespaces_do_not_matter_for_one_user(lab: Lab) -> None:
    """Whatever is asked for, there is only one."""
    lab.client.create_experiment("churn", namespace="mine")

    assert lab.client.get_experiment(experiment_name="churn", namespace="theirs").namespace is None


def test_namespaces_are_required_with_many_users_and_separate_them(make_lab: MakeLab) -> None:
    """The same name may exist once in each."""
    lab = make_lab(is_multi_user=True)
    mine = lab.client.create_experiment("churn", namespace="mine")
    theirs = lab.client.create_experiment("churn", namespace="theirs")
    lab.server.script([{"display_name": "a"}], experiment_id=mine.experiment_id)

    assert mine.experiment_id != theirs.experiment_id
    assert [run.display_name for run in lab.client.list_runs(namespace="mine").runs] == ["a"]
    assert lab.client.list_runs(namespace="theirs").runs is None
    for call in (lab.client.list_runs, lab.client.list_experiments):
        status, body = refusal(call)
        assert (status, body["code"]) == (400, 3)
        assert "empty namespace in multi-user mode" in body["message"]
