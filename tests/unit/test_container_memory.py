from pathlib import Path

import pytest

from trainer_daemon.container_memory import has_little_memory


@pytest.mark.parametrize("name", ["memory.max", "memory/memory.limit_in_bytes"])
@pytest.mark.parametrize(("text", "is_little"), [("536870912\n", True), ("1073741824\n", False), ("max\n", False), ("", False)])
def test_limit_of_the_container_is_read(tmp_path: Path, name: str, text: str, *, is_little: bool) -> None:
    """In either version of control groups."""
    limit = tmp_path / name
    limit.parent.mkdir(exist_ok=True)
    limit.write_text(text)
    assert has_little_memory(tmp_path) is is_little


def test_no_limit_is_much(tmp_path: Path) -> None:
    """Outside a container."""
    assert not has_little_memory(tmp_path)
