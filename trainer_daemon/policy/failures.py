"""Which failures say nothing about the run: they cost it no attempt. Pure."""

import re

_FULL_DISK = re.compile(r"No space left on device|Disk quota exceeded|database or disk is full|\[Errno (?:28|122)\]")


def is_full_disk(reason: str) -> bool:
    """Whether a failure says that a disk has no room left, in the words of the system, of Python or of SQLite."""
    return _FULL_DISK.search(reason) is not None
