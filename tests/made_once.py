"""What is slow to make and never changed, made by one of the processes of a test run for all of them."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder, which whoever comes first makes while the others wait.

    Args:
        factory: pytest's.
        name: Of the folder.
        make: Fills a folder that exists and is empty.
    """
    base = factory.getbasetemp()
    made = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with made.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.is_dir():
            scratch = made.with_suffix(".scratch")
            scratch.mkdir(exist_ok=True)
            make(scratch)
            scratch.rename(made)
    return made
