import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipelines.digest import pipeline_digest
from trainer_daemon.adapters.compiled import compile_pipelines, compiled_path
from trainer_daemon.errors import TemporaryError


def test_pipelines_are_compiled_once_for_each_version_of_their_code(tmp_path: Path) -> None:
    """Racing processes agree on one folder, named by the digest, and nothing is compiled again or left over."""
    with ThreadPoolExecutor(2) as pool:
        folders = set(pool.map(compile_pipelines, [tmp_path / "cache"] * 2))
    [folder] = folders
    assert folder.name == pipeline_digest()
    assert {path.name for path in folder.iterdir()} >= {"training.yaml", "hello.yaml"}
    os.utime(folder / "hello.yaml", (1, 1))
    assert compile_pipelines(tmp_path / "cache") == folder
    assert (folder / "hello.yaml").stat().st_mtime == 1
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [folder.name]


def test_own_compiled_pipeline_is_taken_as_it_is(tmp_path: Path) -> None:
    """A path that ends in .yaml is the user's own pipeline; nothing is compiled for it."""
    assert compiled_path(tmp_path / "cache", "/srv/mine.yaml") == Path("/srv/mine.yaml")
    assert not (tmp_path / "cache").exists()


def test_unwritable_cache_is_temporary(tmp_path: Path) -> None:
    """A cache that cannot be written is said in one sentence."""
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(TemporaryError, match="cannot write the compiled pipelines to"):
        compile_pipelines(tmp_path / "file" / "cache")
