"""`python -m benchmarks [NAME …]`: measure, and print one row per figure."""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from benchmarks.daemon import measure_burst, measure_idle, measure_latency, measure_start
from benchmarks.evaluation import measure_evaluation
from benchmarks.google import measure_listing, measure_messages, measure_upload
from benchmarks.large import measure_large
from benchmarks.machine import description
from benchmarks.overload import measure_overload
from benchmarks.soak import measure_soak

Measure = Callable[[Path], Mapping[str, float]]
BENCHMARKS: Mapping[str, Measure] = {
    "start": measure_start,
    "idle": measure_idle,
    "latency": measure_latency,
    "burst": measure_burst,
    "messages": measure_messages,
    "listing": measure_listing,
    "upload": measure_upload,
    "evaluation": measure_evaluation,
}


def slow(options: argparse.Namespace) -> Mapping[str, Measure]:
    """What takes many minutes or gigabytes, so only by name."""
    return {
        "large": measure_large,
        "overload": partial(measure_overload, drops=options.drops),
        "soak": partial(measure_soak, minutes=options.minutes),
    }


def main(arguments: list[str]) -> int:
    """Run the named benchmarks, or all that are not slow."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure what README states.")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--minutes", type=float, default=60.0, help="of `soak`")
    parser.add_argument("--drops", type=int, default=2000, help="of `overload`")
    options = parser.parse_args(arguments)
    known = {**BENCHMARKS, **slow(options)}
    if unknown := set(options.names) - set(known):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    print(f"machine: {description()}")
    for name in options.names or BENCHMARKS:
        with tempfile.TemporaryDirectory(prefix=f"bench-{name}-") as folder:
            for figure, value in known[name](Path(folder) / "workspace").items():
                print(f"{figure:<50} {value:10.2f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
