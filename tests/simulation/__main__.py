"""`python -m tests.simulation`: as many histories as wanted on both cores; the first one that fails is made small and told."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from tests.simulation.history import live
from tests.simulation.replica import Makers
from tests.simulation.shrink import Shrinker
from tests.simulation.telling import figures, trace

PROCESSES = 2
CHUNK = 20
TOLD_MAX = 3
"""More failures than that are rarely different ones."""


@dataclass
class Sum:
    """What came of some histories."""

    histories: int = 0
    steps: int = 0
    troubles: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)

    def add(self, other: "Sum") -> None:
        """Take another one in."""
        self.histories += other.histories
        self.steps += other.steps
        self.troubles += other.troubles
        self.failed += other.failed


def main() -> int:
    """Simulate; 1 when a promise was broken."""
    given = _arguments()
    total, began_at = Sum(), time.monotonic()
    chunks = [range(start, min(start + CHUNK, given.end)) for start in range(given.first, given.end, CHUNK)]
    with ProcessPoolExecutor(PROCESSES) as pool:
        for part in _as_they_come(pool, given, chunks):
            total.add(part)
            _show_progress(total, given.histories, time.monotonic() - began_at)
            if len(total.failed) >= TOLD_MAX:
                pool.shutdown(cancel_futures=True)
                break
    for seed in total.failed[:TOLD_MAX]:
        course = live(seed, replicas=given.replicas)
        sys.stdout.write(f"\n{trace(seed, Shrinker(course, makers=Makers()).shrink())}\n")
    told = figures(total.histories, total.steps, total.troubles, violations=len(total.failed))
    sys.stdout.write(f"{told}; {time.monotonic() - began_at:.0f} s\n")
    return 1 if total.failed else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arguments:
    histories: int
    seed: str
    first: int
    replicas: int

    @property
    def end(self) -> int:
        return self.first + self.histories


def _arguments() -> _Arguments:
    parser = argparse.ArgumentParser(prog="make simulate", description="Simulate the daemon with seeded faults.")
    parser.add_argument("--histories", type=int, default=1000)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--first", type=int, default=0, help="number of the first history; a trace names it behind the seed")
    parser.add_argument("--replicas", type=int, default=1, help="daemons on one ledger, which leases keep apart")
    return _Arguments(**vars(parser.parse_args()))


def _as_they_come(pool: ProcessPoolExecutor, given: _Arguments, chunks: list[range]) -> Iterator[Sum]:
    """Only a few chunks are handed out at a time, so that a failure ends the rest soon."""
    rest = iter(chunks)
    simulate = partial(_simulate, given.seed, given.replicas)
    waiting = [pool.submit(simulate, chunk) for chunk in islice(rest, 2 * PROCESSES)]
    while waiting:
        yield waiting.pop(0).result()
        waiting += [pool.submit(simulate, chunk) for chunk in islice(rest, 1)]


def _simulate(seed: str, replicas: int, numbers: range) -> Sum:
    """Live some histories."""
    total = Sum()
    for number in numbers:
        course = live(f"{seed}:{number}", replicas=replicas)
        failed = [f"{seed}:{number}"] if course.violations else []
        total.add(Sum(histories=1, steps=course.steps, troubles=course.counts, failed=failed))
    return total


def _show_progress(total: Sum, histories: int, seconds: float) -> None:
    if sys.stderr.isatty():
        end = "\n" if total.histories >= histories else ""
        rate = total.histories / max(seconds, 0.001)
        sys.stderr.write(f"\r{total.histories:,} of {histories:,} histories, {rate:.0f}/s, {len(total.failed)} failed{end}")
        sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
