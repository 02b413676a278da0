"""Fixtures that every tier uses."""

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)  # a busy machine is no failure
settings.load_profile("any-machine")

pytest_plugins = ["tests.emulators.fixtures"]

TIERS = ("acceptance", "integration", "simulation", "unit", "image")
"""In the order in which they begin: what takes longest would be waited for at the end, and single histories fill gaps."""
SHARING = {
    "integration/pipelines/": "pipelines",
    "integration/test_registry.py": "registry",
    "integration/test_registry_races.py": "registry",
    "integration/doctor/test_mlflow.py": "registry",
    "integration/cli/test_intervene.py": "registry",
}
"""Files that share more than a file does: what steps import, or a process that writes into MLflow."""
TESTS = Path(__file__).resolve().parent
SHARED_DATA = TESTS.parents[1] / "shared" / "data"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With several workers the tests of a group stay with one, which shares their fixtures; simulated histories share nothing."""
    for item in items:
        if tier(item) != "simulation":
            item.add_marker(pytest.mark.xdist_group(group(item.path.relative_to(TESTS).as_posix())))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Tests are in random order within their tier."""
    session.items.sort(key=lambda item: TIERS.index(tier(item)))


def group(file: str) -> str:
    """Whose tests stay with one worker."""
    return next((name for beginning, name in SHARING.items() if file.startswith(beginning)), file)


def tier(item: pytest.Item) -> str:
    """The folder that a test is of."""
    return item.path.relative_to(TESTS).parts[0]


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
