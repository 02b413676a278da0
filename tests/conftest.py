"""Fixtures that every tier uses."""

import logging
import warnings
from collections.abc import Iterator
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


@pytest.fixture(autouse=True)
def libraries_log_as_before() -> Iterator[None]:
    """A command that a test calls in its own process makes the libraries log into a stream that is closed soon."""
    root, show = logging.getLogger(), warnings.showwarning
    level, before = root.level, list(root.handlers)
    yield
    logging.captureWarnings(capture=False)
    warnings.showwarning = show
    root.setLevel(level)
    for handler in root.handlers[:]:
        if handler not in before and type(handler).__module__.startswith("trainer_daemon."):
            root.removeHandler(handler)
