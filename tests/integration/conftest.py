"""Fixtures of all tests of orchestrators that execute compiled pipelines."""

from pathlib import Path

import pytest

from tests.integration.orchestrator_contract import compile_probes
from tests.made_once import made_once


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the compiled test pipelines."""
    return made_once(tmp_path_factory, "probes", compile_probes)
