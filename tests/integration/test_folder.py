import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from trainer_daemon.adapters.folder import Folder, _take_lease, has_writer_by_lease
from trainer_daemon.errors import TemporaryError
from trainer_daemon.ports import Bucket, Found, Ignored, Incomplete, Listed

NAME = "churn_data_2025_03.csv"
TEMPLATE = "churn_data_{period}.csv"
NOBODY = 65534
needs_leases = pytest.mark.skipif(sys.platform != "linux", reason="read leases are Linux's")
WRITER = """
import sys
with open(sys.argv[1], "w") as stream:
    for line in sys.stdin:
        stream.write(line)
        stream.flush()
        print("written", flush=True)
print("closed", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The bucket."""
    folder = tmp_path / "drops"
    folder.mkdir()
    return folder


@pytest.fixture
def folder(root: Path) -> Folder:
    """The adapter."""
    return Folder(root, TEMPLATE)


@needs_leases
def test_file_that_is_open_for_writing_is_incomplete(root: Path, folder: Folder) -> None:
    """A half-written file is not a drop; closed, it is."""
    with (root / NAME).open("w") as stream:
        stream.write("a,b\n1,")
        stream.flush()
        assert _list(folder) == [Incomplete(name=NAME)]
    assert _found(folder).drop.size_bytes == 6


@needs_leases
def test_slow_writer_in_another_process_is_waited_for(root: Path, folder: Folder) -> None:
    """However long another process takes between two lines, the drop is found only when it has closed the file."""
    command = [sys.executable, "-c", WRITER, str(root / NAME)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        for line in ("a,b\n", "1,2\n"):
            writer.stdin.write(line)
            writer.stdin.flush()
            assert writer.stdout.readline() == "written\n"
            assert _list(folder) == [Incomplete(name=NAME)]
        writer.stdin.close()
        assert writer.stdout.readline() == "closed\n"
        assert _found(folder).drop.size_bytes == 8


@needs_leases
def test_reader_does_not_make_a_file_incomplete(root: Path, folder: Folder) -> None:
    """Somebody who looks at a drop does not hold it back."""
    (root / NAME).write_text("a\n1\n")
    with (root / NAME).open() as reader:
        assert isinstance(_list(folder)[0], Found)
        assert reader.read() == "a\n1\n"


@needs_leases
def test_question_leaves_no_lease(root: Path) -> None:
    """A writer that comes after the question, while the file is read, is not held up."""
    (root / NAME).write_text("a\n")
    with (root / NAME).open("rb") as stream:
        assert has_writer_by_lease(stream.fileno()) is False
        os.close(os.open(root / NAME, os.O_WRONLY | os.O_NONBLOCK))
        assert has_writer_by_lease(stream.fileno()) is False


@needs_leases
def test_broken_lease_does_not_end_the_daemon(root: Path) -> None:
    """A writer that opens the file in the middle of the question has the kernel send a signal, one that is ignored by default."""
    (root / NAME).write_text("a\n")
    with (root / NAME).open("rb") as stream:
        _take_lease(stream.fileno())  # the middle of the question
        assert fcntl.fcntl(stream.fileno(), fcntl.F_GETSIG) == signal.SIGURG
        with pytest.raises(BlockingIOError):
            os.open(root / NAME, os.O_WRONLY | os.O_NONBLOCK)


@needs_leases
def test_writer_that_opens_during_the_question_does_no_harm(root: Path) -> None:
    """However the two meet: this process goes on, so does the writer, and both answers are given in the end."""
    (root / NAME).write_text("a\n")
    stop = threading.Event()
    rounds: list[int] = []

    def _append() -> None:
        while not stop.is_set():
            with (root / NAME).open("a") as stream:
                stream.write("x\n")
            rounds.append(1)

    writer = threading.Thread(target=_append)
    writer.start()
    answers: Counter[bool | None] = Counter()
    deadline = time.monotonic() + 240
    with (root / NAME).open("rb") as stream:
        while time.monotonic() < deadline and (min(answers[True], answers[False]) < 10 or len(rounds) < 300):
            answers[has_writer_by_lease(stream.fileno())] += 1
    stop.set()
    writer.join(timeout=240)
    assert not writer.is_alive()
    assert set(answers) == {True, False}
    assert min(answers.values()) >= 10
    assert len(rounds) >= 300


def test_file_that_changes_while_it_is_read_is_incomplete(root: Path) -> None:
    """A drop that grows between the two looks is not complete, even when nobody has it open at either."""
    (root / NAME).write_text("a\n1\n")

    def _grow(_descriptor: int) -> bool:
        with (root / NAME).open("a") as stream:
            stream.write("2\n")
        return False

    assert _list(Folder(root, TEMPLATE, has_writer=_grow)) == [Incomplete(name=NAME)]


def test_without_leases_a_file_is_complete_when_it_was_quiet(root: Path) -> None:
    """Where the kernel cannot tell, a file must have been unchanged for ten seconds; each change begins them anew."""
    now = [100.0]
    folder = Folder(root, TEMPLATE, has_writer=lambda _: None, clock=lambda: now[0])
    (root / NAME).write_text("a\n")
    kinds = []
    for second, text in [(100.0, ""), (109.9, ""), (109.95, "1\n"), (119.9, ""), (120.0, "")]:
        now[0] = second
        with (root / NAME).open("a") as stream:
            stream.write(text)
        kinds.append(type(_list(folder)[0]))
    assert kinds == [Incomplete, Incomplete, Incomplete, Incomplete, Found]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_file_of_another_user_falls_back_to_being_quiet(as_nobody: Path) -> None:
    """The kernel leases nobody else's file; it is not reported as unreadable for that."""
    assert _list(Folder(as_nobody, TEMPLATE)) == [Incomplete(name=NAME), Ignored(name="churn_data_2025_04.csv", reason=DENIED)]


DENIED = "it cannot be read: Permission denied"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file_is_ignored_with_the_reason(root: Path, folder: Folder) -> None:
    """A file without read permission is named, not skipped in silence."""
    (root / NAME).write_text("a\n")
    (root / NAME).chmod(0)
    assert _list(folder) == [Ignored(name=NAME, reason=DENIED)]


def test_atomic_rename_is_found_at_once(root: Path, folder: Folder) -> None:
    """The partial name is nobody's business, the final one is a drop."""
    (root / f"{NAME}.part").write_text("a\n1\n")
    assert _list(folder) == []
    (root / f"{NAME}.part").rename(root / NAME)
    found = _found(folder)
    assert found.drop.uri == (root / NAME).as_uri()
    assert found.drop.checksum == "sha256:" + hashlib.sha256(b"a\n1\n").hexdigest()
    assert found.drop.period == "2025-03"


def test_touch_makes_a_new_generation_of_the_same_content(root: Path, folder: Folder) -> None:
    """A new modification time is a re-upload: other generation, same checksum."""
    (root / NAME).write_text("a\n1\n")
    before = _found(folder)
    os.utime(root / NAME, ns=(1_000_000_000, 1_000_000_000))
    after = _found(folder, before)
    assert after.drop.checksum == before.drop.checksum
    assert after.drop.generation != before.drop.generation


def test_restored_copy_with_its_old_modification_time_is_a_new_generation(root: Path, folder: Folder) -> None:
    """A, then B, then A again by `cp -p`: what is there now must be seen."""
    (root / NAME).write_text("a\n1\n")
    os.utime(root / NAME, ns=(1_000_000_000, 1_000_000_000))
    before = _found(folder)
    (root / NAME).write_text("b\n2\n")
    (root / NAME).write_text("a\n1\n")
    os.utime(root / NAME, ns=(1_000_000_000, 1_000_000_000))
    after = _found(folder, before)
    assert after.drop.checksum == before.drop.checksum
    assert after.drop.generation != before.drop.generation


def test_identical_upload_has_the_same_checksum(root: Path, folder: Folder) -> None:
    """The same bytes under the same name are the same content, whoever writes them."""
    (root / NAME).write_text("a\n1\n")
    before = _found(folder)
    (root / NAME).unlink()
    (root / NAME).write_text("a\n1\n")
    after = _found(folder, before)
    assert after.signature != before.signature
    assert after.drop.checksum == before.drop.checksum


def test_changed_bytes_of_same_size_and_time_are_seen(root: Path, folder: Folder) -> None:
    """A file whose size and modification time were kept is read again, since its change time cannot be kept."""
    (root / NAME).write_text("a\n1\n")
    before = _found(folder)
    times = (root / NAME).stat()
    (root / NAME).write_text("a\n2\n")
    os.utime(root / NAME, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = _found(folder, before)
    assert after.drop.size_bytes == before.drop.size_bytes
    assert after.drop.checksum != before.drop.checksum
    assert after.drop.generation != before.drop.generation


def test_known_files_are_not_read_again(root: Path) -> None:
    """Two thousand files are asked for in pages; those that are on record as they are now are left out, and none is opened."""
    for index in range(2000):
        (root / f"churn_data_{index // 12 + 1900}-{index % 12 + 1:02}.csv").write_text(f"a\n{index}\n")
    opened: list[int] = []

    def _open(descriptor: int) -> bool:
        opened.append(descriptor)
        return False

    folder = Folder(root, TEMPLATE, has_writer=_open)
    record = {seen.drop.uri: seen.signature for seen in _list(folder) if isinstance(seen, Found)}
    assert len(record) == 2000
    opened.clear()
    asked: list[int] = []

    def _known(uris: Sequence[str]) -> dict[str, str]:
        asked.append(len(uris))
        return {uri: record[uri] for uri in uris}

    assert [list(page) for page in folder.list_drops(_known)] == [[]] * 4
    assert asked == [500] * 4
    assert opened == []


def test_names_of_any_kind_become_uris(root: Path) -> None:
    """Spaces, other scripts, percent signs and line breaks in folder and name survive in the URI."""
    odd = root / "a folder 100% ü#?\n"
    odd.mkdir()
    (odd / "chürn data\n年 2025_03.csv").write_text("a\n")
    found = _found(Folder(odd, "chürn data\n年 {period}.csv"))
    assert found.drop.uri.startswith("file:///")
    assert not set(found.drop.uri) & set(" \n#?ü年")
    assert found.drop.uri == (odd / "chürn data\n年 2025_03.csv").as_uri()


def test_name_of_bytes_that_are_no_text_can_be_printed(root: Path) -> None:
    """A file name that is not UTF-8 does not break the listing or the log."""
    bad = os.fsencode(root) + b"/drop_\xff_2025_13.csv"
    with open(bad, "wb") as stream:  # noqa: PTH123 - a name of bytes
        stream.write(b"a\n")
    [seen] = _list(Folder(root, os.fsdecode(b"drop_\xff_{period}.csv")))
    assert isinstance(seen, Ignored)
    assert seen.name.encode() == rb"drop_\udcff_2025_13.csv"


def test_impossible_month_is_ignored_with_a_reason(root: Path, folder: Folder) -> None:
    """So is data under a name that does not match; files that are no data are not mentioned."""
    for name in ("churn_data_2025_13.csv", "notes.txt", f".{NAME}", f"{NAME}.tmp", "other_2025_03.CSV"):
        (root / name).write_text("a\n")
    assert _list(folder) == [
        Ignored(name="churn_data_2025_13.csv", reason="the name has no possible month: months are 01 to 12"),
        Ignored(name="other_2025_03.CSV", reason=f"the name does not match drops = '{TEMPLATE}'", is_foreign=True),
    ]


def test_folder_named_like_a_drop_is_ignored(root: Path, folder: Folder) -> None:
    """A folder is no drop, and what is in it neither."""
    (root / NAME).mkdir()
    (root / NAME / NAME).write_text("a\n")
    assert _list(folder) == [Ignored(name=NAME, reason="it is a folder")]


def test_pipe_named_like_a_drop_does_not_block(root: Path, folder: Folder) -> None:
    """A pipe would block whoever opens it."""
    os.mkfifo(root / NAME)
    assert _list(folder) == [Ignored(name=NAME, reason="it is not a regular file")]


def test_link_out_of_the_folder_is_ignored(root: Path, tmp_path: Path, folder: Folder) -> None:
    """A link must not make the daemon read what was never put into the bucket; one within the folder is fine."""
    (tmp_path / "secret.csv").write_text("a\n")
    (root / NAME).symlink_to(tmp_path / "secret.csv")
    (root / "upload.bytes").write_text("a\n")
    (root / "churn_data_2025_04.csv").symlink_to("upload.bytes")
    (root / "churn_data_2025_05.csv").symlink_to("missing.csv")
    out, within, missing = _list(folder)
    assert out == Ignored(name=NAME, reason=f"it is a link out of the folder, to {(tmp_path / 'secret.csv').resolve()}")
    assert isinstance(within, Found)
    assert missing == Ignored(name="churn_data_2025_05.csv", reason="it is a link to a file that does not exist")


def test_missing_folder_is_temporary(tmp_path: Path) -> None:
    """A folder that is not there yet is a matter of waiting, said in one sentence."""
    with pytest.raises(
        TemporaryError, match=r"cannot list the drops in .*/nowhere: No such file or directory; create the folder"
    ):
        _list(Folder(tmp_path / "nowhere", TEMPLATE))


@pytest.fixture
def as_nobody() -> Iterator[Path]:
    """A folder with one of root's files that everybody may read and one that nobody may; this process is `nobody` meanwhile."""
    root = Path(tempfile.mkdtemp())
    root.chmod(0o755)
    for name, mode in ((NAME, 0o644), ("churn_data_2025_04.csv", 0)):
        (root / name).write_text("a\n")
        (root / name).chmod(mode)
    os.seteuid(NOBODY)
    try:
        yield root
    finally:
        os.seteuid(0)
        shutil.rmtree(root)


def _conforms(folder: Folder) -> Bucket:
    """The type checker's proof that the adapter plays the role."""
    return folder


def _list(folder: Folder, on_record: Mapping[str, str] | None = None) -> list[Listed]:
    """Every page's entries."""
    return [seen for page in folder.list_drops(lambda _: on_record or {}) for seen in page]


def _found(folder: Folder, before: Found | None = None) -> Found:
    """The one drop in the folder."""
    [seen] = _list(folder, {before.drop.uri: before.signature} if before else None)
    assert isinstance(seen, Found)
    return seen
