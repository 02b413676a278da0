"""Fixtures of the acceptance tier: workspaces whose processes end with the test."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.harness import Workspace
from tests.made_once import made_once

MakeWorkspace = Callable[..., Workspace]


@pytest.fixture
def make_workspace(tmp_path: Path, furniture: Path, request: pytest.FixtureRequest) -> Iterator[MakeWorkspace]:
    """Makes a workspace; keyword arguments are keys of its model. A failing test shows the end of the daemon's log."""
    made: list[Workspace] = []

    def make(**model: Any) -> Workspace:  # noqa: ANN401 - any key
        top = model.pop("top", "")
        root = tmp_path / f"workspace-{len(made)}"
        shutil.copytree(furniture, root / "var")
        made.append(Workspace(root, model=model, top=top))
        return made[-1]

    yield make
    for workspace in made:
        workspace.kill_tree()
        if request.session.testsfailed and workspace.log.exists():
            print(workspace.log.read_text()[-6000:])  # noqa: T201 - pytest shows it with the failure


@pytest.fixture
def workspace(make_workspace: MakeWorkspace) -> Workspace:
    """A workspace with a fast model."""
    return make_workspace(training={"estimator": "logistic_regression"})


@pytest.fixture(scope="session")
def light_pipelines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the compiled pipelines of `light_pipelines`."""
    command = [sys.executable, "-m", "tests.acceptance.light_pipelines"]
    return made_once(
        tmp_path_factory, "light-pipelines", lambda folder: subprocess.run([*command, folder], check=True, capture_output=True)
    )


@pytest.fixture
def light_workspace(make_workspace: MakeWorkspace, light_pipelines: Path) -> MakeWorkspace:
    """Makes a workspace whose runs execute `obeying`, `registering` or `hello`."""

    def make(pipeline: str = "obeying", **model: Any) -> Workspace:  # noqa: ANN401 - any key
        named = pipeline if pipeline == "hello" else str(light_pipelines / f"{pipeline}.yaml")
        return make_workspace(training={"pipeline": named}, **model)

    return make
