"""The compiled pipelines: the same everywhere, and what every task of them is given."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its types are a package of their own

from trainer_daemon import __file__ as package

NAMES = ("evaluation", "hello", "inference", "training")
IMAGE = "registry.example/trainer:1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """What another process compiled: into `out` for the image of this version, into `another image` for another one."""

    folder: Path
    printed: list[str]


def spec(folder: Path, name: str) -> dict[str, Any]:
    """A compiled pipeline."""
    document: dict[str, Any] = yaml.safe_load((folder / f"{name}.yaml").read_text())
    return document


def tasks(folder: Path, name: str) -> dict[str, dict[str, Any]]:
    """The tasks of a pipeline."""
    found: dict[str, dict[str, Any]] = spec(folder, name)["root"]["dag"]["tasks"]
    return found


def containers(folder: Path, name: str) -> list[dict[str, Any]]:
    """What its tasks are executed in."""
    return [executor["container"] for executor in spec(folder, name)["deploymentSpec"]["executors"].values()]


TWICE = """
import sys
from pipelines.__main__ import main
for options in ([], ["--image", sys.argv[1]]):
    sys.argv[1:] = ["compile", "--out", "another image" if options else "out", *options]
    main()
"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Elsewhere:
    """Both compiled by one process, whose hash seed, time zone, language and working directory are others."""
    folder = tmp_path_factory.mktemp("elsewhere")
    own = {"PYTHONHASHSEED": "271828", "TZ": "Asia/Kathmandu", "LC_ALL": "C", "PYTHONPATH": str(Path(package).parents[1])}
    command = [sys.executable, "-c", TWICE, IMAGE]
    done = subprocess.run(command, cwd=folder, env=os.environ | own, check=True, capture_output=True, text=True, timeout=800)
    return Elsewhere(folder=folder, printed=done.stdout.splitlines())


def test_compiling_elsewhere_gives_equal_files(compiled: Path, elsewhere: Elsewhere) -> None:
    """A compiled pipeline depends on the code alone: not on hash seed, time zone, language or working directory."""
    from pipelines.compiling import compiled_digest

    made = {path.name: path.read_bytes() for path in (elsewhere.folder / "out").iterdir()}
    assert made == {path.name: path.read_bytes() for path in compiled.iterdir()}
    assert sorted(made) == [f"{name}.yaml" for name in NAMES]
    digests = [f"sha256:{compiled_digest(compiled / f'{name}.yaml')}" for name in NAMES]
    assert sorted(line.split()[-1] for line in elsewhere.printed if line.startswith("out/")) == sorted(digests)


def test_digest_is_of_what_the_pipeline_says(compiled: Path, tmp_path: Path) -> None:
    """Neither the version of the SDK nor the comments and the order that it writes count; anything else does."""
    from pipelines.compiling import compiled_digest

    text = (compiled / "hello.yaml").read_text()
    digest = compiled_digest(compiled / "hello.yaml")
    path = tmp_path / "hello.yaml"
    document = yaml.safe_load(text)
    path.write_text("# another comment\n" + yaml.safe_dump({**document, "sdkVersion": "kfp-9.9.9"}, sort_keys=False))
    assert compiled_digest(path) == digest
    path.write_text(text.replace("Say hello", "Say it"))
    assert compiled_digest(path) != digest


@pytest.mark.parametrize("name", NAMES)
def test_every_task_runs_from_the_one_image_and_says_what_it_needs(compiled: Path, name: str) -> None:
    """Nothing is installed at run time."""
    from pipelines.tasks import DEFAULT_IMAGE

    assert "pip install" not in (compiled / f"{name}.yaml").read_text()
    for container in containers(compiled, name):
        assert container["image"] == DEFAULT_IMAGE
        assert {"resourceCpuRequest", "resourceMemoryRequest"} <= set(container["resources"])
        assert not {"resourceCpuLimit", "resourceMemoryLimit"} & set(container["resources"])
    assert all(
        " " in task["taskInfo"]["name"] or task["taskInfo"]["name"] == "Predict" for task in tasks(compiled, name).values()
    )


def test_image_can_be_another(elsewhere: Elsewhere) -> None:
    """Of every task of every pipeline."""
    images = {container["image"] for name in NAMES for container in containers(elsewhere.folder / "another image", name)}
    assert images == {IMAGE}


def test_image_is_the_one_of_this_version() -> None:
    """The image that is built from this version of the code."""
    from importlib.metadata import version

    from pipelines.tasks import DEFAULT_IMAGE

    assert f"trainer-daemon:{version('trainer-daemon')}" == DEFAULT_IMAGE


def test_tasks_with_an_effect_are_never_answered_from_a_cache(compiled: Path) -> None:
    """A cached evaluation would leave nothing on MLflow, cached predictions no file."""
    cached = {
        name: {task for task, entry in tasks(compiled, name).items() if entry["cachingOptions"].get("enableCache")}
        for name in NAMES
    }
    assert cached == {
        "training": {"load-and-preprocess-data", "train-model"},
        "evaluation": {"load-and-preprocess-data"},
        "inference": set(),
        "hello": set(),
    }


def test_only_tasks_that_judge_no_data_are_tried_again(compiled: Path) -> None:
    """A bad drop fails at its first try: whoever has to correct it learns of it at once."""
    tried = {task for name in NAMES for task, entry in tasks(compiled, name).items() if "retryPolicy" in entry}
    assert tried == {"evaluate-model", "evaluate-version", "register-model"}


def test_results_are_shown_where_people_look(compiled: Path) -> None:
    """The user interface knows these types of artifacts."""
    shown = {}
    for name in ("training", "evaluation", "inference"):
        for component in spec(compiled, name)["components"].values():
            artifacts = component.get("outputDefinitions", {}).get("artifacts", {})
            shown[component["executorLabel"]] = {entry["artifactType"]["schemaTitle"] for entry in artifacts.values()}
    everything = {"system.Metrics", "system.ClassificationMetrics", "system.HTML"}
    assert everything <= shown["exec-evaluate-model"]
    assert everything <= shown["exec-evaluate-version"]
    assert {"system.Metrics", "system.HTML"} <= shown["exec-predict"]
    assert all("system.Metrics" in shown[f"exec-{step}"] for step in ("load-and-preprocess-data", "train-model"))
