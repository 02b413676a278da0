"""Which machine the figures are from."""

import platform
from pathlib import Path

import psutil


def description() -> str:
    """Processor, cores, memory and Python in one line."""
    names = [line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")]
    memory_gib = psutil.virtual_memory().total / 2**30
    cores = psutil.cpu_count()
    return f"{names[0] if names else platform.machine()}, {cores} cores, {memory_gib:.0f} GiB, Python {platform.python_version()}"


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []
