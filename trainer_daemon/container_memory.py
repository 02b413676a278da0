"""What the container gives of memory: where that is little, nobody may hold what is not needed just now."""

from pathlib import Path

LITTLE_BYTES = 768 * 2**20
"""The daemon, the MLflow worker and a run beside one another take 550 MB, and more with more data."""
_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")
"""As control groups tell it, in their second and in their first version."""


def has_little_memory(groups: Path = Path("/sys/fs/cgroup")) -> bool:
    """Whether the container's limit is below `LITTLE_BYTES`; no limit, or none that can be read, is much.

    Args:
        groups: Where the control group of this process is mounted.
    """
    return any(_is_little(groups / name) for name in _LIMITS)


def _is_little(limit: Path) -> bool:
    try:
        return int(limit.read_text(encoding="ascii")) < LITTLE_BYTES
    except (OSError, ValueError):  # there is none, or it is "max"
        return False
