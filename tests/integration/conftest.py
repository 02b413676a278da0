"""Fixtures of all tests of orchestrators that execute compiled pipelines."""

from pathlib import Path

import pytest

from tests.integration.orchestrator_contract import compile_probes


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the compiled test pipelines."""
    return compile_probes(tmp_path_factory.mktemp("compiled"))
