"""Fixtures of the acceptance tier: workspaces whose processes end with the test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.harness import Workspace

MakeWorkspace = Callable[..., Workspace]


@pytest.fixture
def make_workspace(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MakeWorkspace]:
    """Makes a workspace; keyword arguments are keys of its model. A failing test shows the end of the daemon's log."""
    made: list[Workspace] = []

    def make(**model: Any) -> Workspace:  # noqa: ANN401 - any key
        top = model.pop("top", "")
        made.append(Workspace(tmp_path / f"workspace-{len(made)}", model=model, top=top))
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
