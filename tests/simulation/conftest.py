"""Fixtures of the simulation."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def garbage_is_looked_for_among_what_is_new() -> Iterator[None]:
    """A process that has collected every test holds a million objects; histories throw nothing of that away."""
    gc.freeze()
    yield
    gc.unfreeze()
