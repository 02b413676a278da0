"""A soak: drops arrive steadily for an hour, nothing fails; memory, threads and file descriptors have to stay what they were."""

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, fields
from http.client import HTTPConnection
from itertools import count
from pathlib import Path

import psutil

from benchmarks.daemon import Bench, wait_for
from tests.emulators.processes import HOST, free_port

DROP_EVERY_S, SAMPLE_EVERY_S = 5.0, 30.0
GROWTH_MAX = 0.05
"""How much more the last quarter may have than the second; the first one warms up."""
_REPEAT_EVERY, _CORRECT_EVERY = 4, 6
_SAMPLES_MIN = 20
_PATIENCE_S = 600.0
_PAGES = ("/livez", "/readyz", "/metrics", "/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the daemon holds at one moment, between two runs; `tree` is the daemon with every process below it."""

    daemon_rss_mb: float
    daemon_threads: int
    daemon_fds: int
    tree_pss_mb: float
    tree_processes: int
    tree_threads: int
    tree_fds: int


def measure_soak(root: Path, minutes: float) -> dict[str, float]:
    """What the daemon holds in the second and in the last quarter of the time, while its pages are asked for."""
    bench, port = Bench(root=root), free_port()
    bench.prepare(noop=True)
    config = root / "trainer.toml"
    config.write_text(f'[http]\nlisten = "{HOST}:{port}"\n{config.read_text()}')
    with bench.daemon() as process:
        bench.drop("churn_data_1900_01.csv", "a,Churn\n0,1\n")
        wait_for(lambda: bench.has("candidate_rejected", 1), _PATIENCE_S)  # MLflow has made its database
        samples = list(_samples(bench, process, port, minutes))
        wait_for(lambda: _is_done(bench), _PATIENCE_S)
    quarters = _quarters(samples)
    grown = [name for name, (before, after) in quarters.items() if not is_flat(before, after)]
    figures: dict[str, float] = {}
    for name, (before, after) in quarters.items():
        figures |= {f"{name}, second quarter": before, f"{name}, last quarter": after}
    return {**figures, "runs": bench.count("run_submitted"), f"quantities that grew: {', '.join(grown) or 'none'}": len(grown)}


def is_flat(before: float, after: float) -> bool:
    """Whether what was held at the end is what was held before, but for chance."""
    return after <= before * (1 + GROWTH_MAX) + 1


def _samples(bench: Bench, process: psutil.Process, port: int, minutes: float) -> Iterator[Sample]:
    """Upload, and look just before the next upload, when nothing is under way."""
    began = time.monotonic()
    uploads, looked = _uploads(), began
    print(*(field.name for field in fields(Sample)), sep="\t", flush=True)
    for number in count(1):
        name, text = next(uploads)
        bench.drop(name, text)
        time.sleep(max(0.0, began + number * DROP_EVERY_S - time.monotonic()))
        if time.monotonic() - began > 60 * minutes:
            return
        if time.monotonic() - looked >= min(SAMPLE_EVERY_S, 60 * minutes / _SAMPLES_MIN):
            looked = time.monotonic()
            for page in _PAGES:
                _ask(port, page)
            sample = _sample(process)
            print(f"{(looked - began) / 60:.1f} min", *astuple(sample), sep="\t", flush=True)
            yield sample


def _uploads() -> Iterator[tuple[str, str]]:
    """New drops; every fourth upload is the one before again, every sixth corrects it."""
    month, text = 0, ""
    for number in count(1):
        if number % _CORRECT_EVERY and number % _REPEAT_EVERY:
            month += 1
        if number % _CORRECT_EVERY == 0 or number % _REPEAT_EVERY:
            text = f"a,Churn\n{number},1\n"
        yield f"churn_data_{1900 + month // 12}_{month % 12 + 1:02}.csv", text


def _is_done(bench: Bench) -> bool:
    return bench.count("candidate_rejected") + bench.count("run_superseded") == bench.count("run_queued")


def _ask(port: int, page: str) -> None:
    connection = HTTPConnection(HOST, port, timeout=60)
    connection.request("GET", page)
    connection.getresponse().read()
    connection.close()


def _sample(process: psutil.Process) -> Sample:
    daemon = [process.memory_info().rss / 1e6, process.num_threads(), process.num_fds()]
    tree: list[tuple[float, int, int]] = []
    for member in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            tree.append((member.memory_full_info().pss / 1e6, member.num_threads(), member.num_fds()))
    pss, threads, fds = (sum(column) for column in zip(*tree, strict=True))
    return Sample(
        daemon_rss_mb=round(daemon[0], 1),
        daemon_threads=daemon[1],
        daemon_fds=daemon[2],
        tree_pss_mb=round(pss, 1),
        tree_processes=len(tree),
        tree_threads=threads,
        tree_fds=fds,
    )


def _quarters(samples: Sequence[Sample]) -> Mapping[str, tuple[float, float]]:
    """The medians of the second and of the last quarter."""
    quarter = max(1, len(samples) // 4)
    second, last = samples[quarter : 2 * quarter], samples[-quarter:]

    def median(part: Sequence[Sample], name: str) -> float:
        return float(statistics.median(getattr(sample, name) for sample in part))

    return {field.name: (median(second, field.name), median(last, field.name)) for field in fields(Sample)}
