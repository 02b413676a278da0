"""`python -m benchmarks [NAME …]`: measure, and print one row per figure."""

import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.daemon import measure_burst, measure_idle, measure_latency, measure_start
from benchmarks.evaluation import measure_evaluation
from benchmarks.google import measure_listing, measure_messages, measure_upload
from benchmarks.large import measure_large
from benchmarks.machine import description

BENCHMARKS: Mapping[str, Callable[[Path], Mapping[str, float]]] = {
    "start": measure_start,
    "idle": measure_idle,
    "latency": measure_latency,
    "burst": measure_burst,
    "messages": measure_messages,
    "listing": measure_listing,
    "upload": measure_upload,
    "evaluation": measure_evaluation,
}
SLOW: Mapping[str, Callable[[Path], Mapping[str, float]]] = {"large": measure_large}
"""Takes many minutes and gigabytes, so only by name."""


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all that are not slow."""
    known = {**BENCHMARKS, **SLOW}
    if unknown := set(names) - set(known):
        print(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    print(f"machine: {description()}")
    for name in names or BENCHMARKS:
        with tempfile.TemporaryDirectory(prefix=f"bench-{name}-") as folder:
            for figure, value in known[name](Path(folder) / "workspace").items():
                print(f"{figure:<50} {value:10.2f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
