"""The locks agree with one another."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def locked(name: str) -> dict[str, str]:
    """Versions by package."""
    return dict(re.findall(r"^([a-z0-9._-]+)==([^ \\;]+)", (ROOT / name).read_text(), re.MULTILINE))


@pytest.mark.parametrize("extra", ["vertex"])
def test_lock_of_an_extra_adds_to_the_others(extra: str) -> None:
    """It repeats nothing, and tests run with the versions that the image gets."""
    added, base, dev = (locked(f"requirements{part}.lock") for part in (f"-{extra}", "", "-dev"))
    assert added
    assert not added.keys() & base.keys()
    assert {**base, **added}.items() <= dev.items()
