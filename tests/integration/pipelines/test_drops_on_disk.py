"""Drops as files: identity by checksum, and bounds on what a hostile file can cost."""

import hashlib
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.errors import BadDrop, BadSettings, DropChanged
from pipelines.parameters import Drop
from pipelines.reading import read_drop

CONTENT = b"a,b\n1,2\n3,4\n"
MIB = 1 << 20


def dropped(path: Path, content: bytes) -> Drop:
    """Write a drop, as the daemon would see it."""
    path.write_bytes(content)
    return Drop(uri=path.as_uri(), generation="1", checksum=f"sha256:{hashlib.sha256(content).hexdigest()}", period="2025-03")


def test_drop_is_read_from_its_uri(tmp_path: Path) -> None:
    """Names that have to be quoted in a URI are found."""
    raw = read_drop(dropped(tmp_path / "churn data #1 ü%20.csv", CONTENT), max_bytes=MIB)
    assert raw.table.num_rows == 2


@pytest.mark.parametrize("content", [CONTENT + b"5,6\n", CONTENT.replace(b"1", b"2"), b"", b"\0\1\2", b"a,b\n1\n2\n"])
def test_bytes_that_changed_are_not_the_drops_fault(tmp_path: Path, content: bytes) -> None:
    """Other bytes under the same name are told apart from a bad drop, however bad they are."""
    drop = dropped(tmp_path / "d.csv", CONTENT)
    (tmp_path / "d.csv").write_bytes(content)
    with pytest.raises(DropChanged, match="changed since this run was launched: expected sha256:"):
        read_drop(drop, max_bytes=MIB)


def test_file_that_is_gone_has_changed(tmp_path: Path) -> None:
    """A file that was deleted or renamed is no bad drop."""
    drop = dropped(tmp_path / "d.csv", CONTENT)
    (tmp_path / "d.csv").unlink()
    with pytest.raises(DropChanged, match="is no longer there"):
        read_drop(drop, max_bytes=MIB)


def test_size_is_bounded(tmp_path: Path) -> None:
    """A file above the bound is refused without reading all of it."""
    with pytest.raises(BadDrop, match="larger than the 1,048,576 bytes that max_drop_bytes allows"):
        read_drop(dropped(tmp_path / "d.csv", b"a,b\n" + b"1,2\n" * MIB), max_bytes=MIB)


def test_unknown_scheme_is_named() -> None:
    """A bucket that cannot be read yet is a matter of settings."""
    with pytest.raises(BadSettings, match="only file:// and gs:// are supported"):
        read_drop(Drop(uri="s3://bucket/d.csv", generation="1", checksum="sha256:", period="2025-03"), max_bytes=MIB)


READ_AND_REPORT = """
import pathlib, re, resource, sys
from pipelines.errors import BadDrop
from pipelines.parameters import Drop
from pipelines.reading import read_drop
try:
    read_drop(Drop(uri=sys.argv[1], generation="1", checksum=sys.argv[2], period="2025-03"), max_bytes=1 << 30)
except BadDrop as refused:
    print(refused.reason)
status = pathlib.Path("/proc/self/status")  # on Linux, the other figure counts the parent's memory before exec
high_water_kib = re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1] if status.exists() else None
print(int(high_water_kib or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024) // 1024)
"""


@pytest.mark.parametrize("head", [b"", b"Tenure,Churn\n", b'Tenure,Churn\n1,"'], ids=["no-header", "header", "open-quote"])
def test_single_line_of_300_mb_is_refused_quickly_and_in_little_memory(tmp_path: Path, head: bytes) -> None:
    """A file without line breaks costs neither minutes nor gigabytes."""
    path, digest = tmp_path / "d.csv", hashlib.sha256()
    with path.open("wb") as file:
        for block in [head, *[b"7" * MIB] * 300]:
            file.write(block)
            digest.update(block)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", READ_AND_REPORT, path.as_uri(), f"sha256:{digest.hexdigest()}"]
    reason, peak_mib = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600).stdout.splitlines()
    path.unlink()
    assert "line" in reason
    assert int(peak_mib) < 200
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 20
