"""Adapters of one workspace, and what their steps report."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.local.traces import Make, alive_in
from tests.integration.orchestrator_contract import Probe, eventually
from trainer_daemon.adapters.local.orchestrator import LocalOrchestrator


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    """A workspace; whatever a failing test leaves running in it is killed."""
    folder = tmp_path / "it's a workspace"
    yield folder
    for process in alive_in(folder):
        process.kill()


@pytest.fixture
def make(workspace: Path, compiled: Path) -> Iterator[Make]:
    """Make adapters of the one workspace; all are closed at the end."""
    made: list[LocalOrchestrator] = []

    def _make(**changes: object) -> LocalOrchestrator:
        settings: dict[str, object] = {
            "workspace": workspace,
            "compiled": lambda name: compiled / f"{name}.yaml",
            "idle_s": 5.0,
            "grace_s": 60.0,
        }
        made.append(LocalOrchestrator(**(settings | changes)))  # type: ignore[arg-type]
        return made[-1]

    yield _make
    for adapter in made:
        adapter.close()
    for process in alive_in(workspace):
        process.kill()  # only what a failing test has left
    eventually(lambda: all(code.done() for adapter in made for code in adapter._own.values()))


@pytest.fixture
def probe(tmp_path: Path) -> Probe:
    """Where the steps report."""
    return Probe(path=tmp_path / "probe.jsonl")
