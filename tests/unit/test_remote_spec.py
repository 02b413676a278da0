import copy
from collections.abc import Mapping
from typing import Any

import pytest

from trainer_daemon.errors import PermanentError
from trainer_daemon.remote.spec import Adjustments, adjusted, arguments, step_names, version_name


def a_spec(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any part of a pipeline
    """Two steps, the second inside a group, as the compiler writes them."""
    task = {"cachingOptions": {"enableCache": True}}
    return {
        "components": {
            "comp-train-model": {"executorLabel": "exec-train-model"},
            "comp-say-hello": {"executorLabel": "exec-say-hello"},
            "comp-condition-1": {"dag": {"tasks": {"say-hello": {**task, "componentRef": {"name": "comp-say-hello"}}}}},
        },
        "deploymentSpec": {
            "executors": {
                "exec-train-model": {"container": {"image": "python:3.11", "args": ["a"]}},
                "exec-say-hello": {"container": {"image": "python:3.11"}},
                "exec-import": {"importer": {"artifactUri": {"constant": "gs://b/o"}}},
            }
        },
        "root": {
            "dag": {
                "tasks": {
                    "train-model": {**task, "componentRef": {"name": "comp-train-model"}},
                    "condition-1": {"componentRef": {"name": "comp-condition-1"}},
                }
            },
            "inputDefinitions": {"parameters": {"word": {"parameterType": "STRING"}, "seed": {"isOptional": True}}},
        },
        "sdkVersion": "kfp-2.17.0",
        **changes,
    }


def container(spec: Mapping[str, Any], step: str) -> dict[str, Any]:
    """What a step runs in."""
    found: dict[str, Any] = spec["deploymentSpec"]["executors"][f"exec-{step}"]["container"]
    return found


def tasks(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The tasks of the pipeline and of its group."""
    return {**spec["root"]["dag"]["tasks"], **spec["components"]["comp-condition-1"]["dag"]["tasks"]}


def test_every_step_gets_the_image() -> None:
    """What is no container has none."""
    spec = adjusted(a_spec(), Adjustments(image="registry/trainer:1"))
    assert {container(spec, step)["image"] for step in ("train-model", "say-hello")} == {"registry/trainer:1"}
    assert spec["deploymentSpec"]["executors"]["exec-import"] == {"importer": {"artifactUri": {"constant": "gs://b/o"}}}


def test_without_an_image_the_compiled_one_stays() -> None:
    """A pipeline of somebody else knows its own."""
    assert container(adjusted(a_spec(), Adjustments()), "train-model")["image"] == "python:3.11"


def test_the_original_is_left_alone() -> None:
    """It may be adjusted again, otherwise."""
    spec = a_spec()
    before = copy.deepcopy(spec)
    adjusted(spec, Adjustments(image="x", cpu={"default": "1"}, retries={"default": 2}))
    assert spec == before


def test_caching_is_off_in_every_task_or_as_it_was_compiled() -> None:
    """Also inside groups; a run's own option would be ignored by the server."""
    off, on = (tasks(adjusted(a_spec(), Adjustments(caching=caching))) for caching in (False, True))
    assert [off[name]["cachingOptions"] for name in ("train-model", "say-hello")] == [{}, {}]
    assert [on[name]["cachingOptions"] for name in ("train-model", "say-hello")] == [{"enableCache": True}] * 2
    assert "cachingOptions" not in off["condition-1"]


def test_limits_are_by_step_with_a_default() -> None:
    """As text for today's backends and as numbers, of cores and gigabytes, for older ones; requested and limited alike."""
    adjustments = Adjustments(cpu={"train_model": "500m", "default": "2"}, memory={"train_model": "4Gi"})
    spec = adjusted(a_spec(), adjustments)
    assert container(spec, "train-model")["resources"] == {
        "cpuRequest": 0.5,
        "cpuLimit": 0.5,
        "resourceCpuRequest": "500m",
        "resourceCpuLimit": "500m",
        "memoryRequest": 4.294967296,
        "memoryLimit": 4.294967296,
        "resourceMemoryRequest": "4Gi",
        "resourceMemoryLimit": "4Gi",
    }
    assert container(spec, "say-hello")["resources"]["resourceCpuLimit"] == "2"
    assert "resourceMemoryLimit" not in container(spec, "say-hello")["resources"]


def test_retries_are_by_step_and_never_of_a_group() -> None:
    """Zero takes away what was compiled."""
    spec = a_spec()
    spec["components"]["comp-condition-1"]["dag"]["tasks"]["say-hello"]["retryPolicy"] = {"maxRetryCount": 5}
    found = tasks(adjusted(spec, Adjustments(retries={"default": 0, "train-model": 3})))
    assert found["train-model"]["retryPolicy"]["maxRetryCount"] == 3
    assert "retryPolicy" not in found["say-hello"]
    assert "retryPolicy" not in found["condition-1"]


def test_limits_of_steps_that_do_not_exist_are_found() -> None:
    """However the name is written; `default` is none."""
    adjustments = Adjustments(cpu={"default": "1", "train_model": "2"}, memory={"train_modl": "1Gi"}, retries={"say-hello": 1})
    assert adjustments.unknown_steps(step_names(a_spec())) == ["train_modl"]


def test_version_is_named_by_what_is_executed() -> None:
    """Image, limits and caching count, and so does the code; the SDK does not."""
    name = version_name(a_spec(), "code")
    others = {
        version_name(adjusted(a_spec(), Adjustments(caching=True, image="x")), "code"),
        version_name(adjusted(a_spec(), Adjustments(image="x")), "code"),
        version_name(a_spec(), "other code"),
    }
    assert len({name, *others}) == 4
    assert version_name(a_spec(sdkVersion="kfp-2.18.0"), "code") == name
    assert len(name) == 20


def test_only_declared_parameters_are_passed() -> None:
    """The server refuses others."""
    assert arguments(a_spec(), {"word": "x", "champion_version": "3"}) == {"word": "x"}


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({}, "the pipeline requires parameter word, which was not given"),
        ({"word": object()}, "cannot be written as JSON"),
        ({"word": float("nan")}, "cannot be written as JSON"),
    ],
)
def test_parameters_that_can_never_work_are_refused(parameters: dict[str, Any], sentence: str) -> None:
    """Before anything is asked of the server."""
    with pytest.raises(PermanentError, match=sentence):
        arguments(a_spec(), parameters)
