import errno
import os
import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from trainer_daemon.adapters.folder import FolderWatch

NAME = "churn_data_2025_03.csv"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The bucket."""
    folder = tmp_path / "drops"
    folder.mkdir()
    return folder


@pytest.fixture
def watched(root: Path) -> Iterator[Callable[[Path], tuple[FolderWatch, "queue.Queue[str]"]]]:
    """Start a watch whose calls arrive in a queue."""
    watches: list[FolderWatch] = []

    def _start(folder: Path = root) -> tuple[FolderWatch, "queue.Queue[str]"]:
        told: queue.Queue[str] = queue.Queue()
        watches.append(FolderWatch(folder, lambda: told.put("changed"), on_trouble=told.put, look_s=0.2))
        watches[-1].start()
        return watches[-1], told

    yield _start
    for watch in watches:
        watch.close()
        assert not watch.alive


Watched = Callable[..., tuple[FolderWatch, "queue.Queue[str]"]]


def test_watch_tells_of_every_kind_of_change(root: Path, watched: Watched) -> None:
    """A new file, a rename, a change and a removal each wake; so does the start."""
    _, told = watched()
    assert told.get(timeout=240) == "changed"
    for change in (
        lambda: (root / "a").write_text("1"),
        lambda: (root / "a").rename(root / "b"),
        lambda: os.utime(root / "b", (1, 1)),
        (root / "b").unlink,
    ):
        change()
        assert told.get(timeout=240) == "changed"
        _drain(told)


def test_watch_waits_for_a_missing_folder(tmp_path: Path, watched: Watched) -> None:
    """A folder that does not exist is said once, and watched when it comes."""
    watch, told = watched(tmp_path / "later")
    assert "cannot be watched, changes are found by the next listing: " in told.get(timeout=240)
    with pytest.raises(queue.Empty):
        told.get(timeout=0.7)
    (tmp_path / "later").mkdir()
    assert told.get(timeout=240) == "changed"
    _drain(told)
    (tmp_path / "later" / NAME).write_text("a\n")
    assert told.get(timeout=240) == "changed"
    assert watch.alive


@pytest.mark.parametrize("gap", [True, False])
def test_watch_survives_a_replaced_folder(*, gap: bool, root: Path, tmp_path: Path, watched: Watched) -> None:
    """Removed and made again, or exchanged for another one in one go: what is put into the new folder wakes."""
    watch, told = watched()
    assert told.get(timeout=240) == "changed"
    (tmp_path / "new").mkdir()
    root.rename(tmp_path / "old")
    if gap:
        _until(told, "cannot be watched")
    (tmp_path / "new").rename(root)
    _until(told, "changed")
    _drain(told)
    (root / NAME).write_text("a\n")
    _until(told, "changed")
    assert watch.alive


def test_closing_ends_the_thread(root: Path) -> None:
    """Closing stops a started watch, and is no error for one that never was."""
    watch = FolderWatch(root, lambda: None)
    watch.close()
    assert not watch.alive
    watch = FolderWatch(root, lambda: None)
    watch.start()
    assert watch.alive
    watch.close()
    assert not watch.alive


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_bug_in_the_callback_shows_as_a_dead_watch(root: Path) -> None:
    """What the callback raises is not taken for trouble of the folder."""
    troubles: list[str] = []
    ended = threading.Event()

    def _fail() -> None:
        ended.set()
        raise OSError(errno.EIO, "a bug")

    watch = FolderWatch(root, _fail, on_trouble=troubles.append, look_s=0.2)
    watch.start()
    assert ended.wait(240)
    watch._thread.join(timeout=240)
    assert not watch.alive
    assert troubles == []


def _drain(told: "queue.Queue[str]") -> None:
    """Take what is still to come of an earlier change."""
    try:
        while True:
            told.get(timeout=0.3)
    except queue.Empty:
        return


def _until(told: "queue.Queue[str]", part: str) -> None:
    while part not in told.get(timeout=240):
        pass
