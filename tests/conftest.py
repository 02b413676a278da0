"""Fixtures that every tier uses."""

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("any-machine", deadline=None)  # a busy machine is no failure
settings.load_profile("any-machine")

pytest_plugins = ["tests.emulators.fixtures"]

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real churn data that lies beside the repository."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the folder of real churn data, ../shared/data, is not there")
    return SHARED_DATA
