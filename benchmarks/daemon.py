"""The daemon as a whole process: start, idling, latency of a drop, throughput of no-op runs."""

import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from trainer_daemon.demo_data import monthly_drop

TOOL = Path(sys.executable).with_name("trainer-daemon")
NOOP = '''
from kfp import compiler, dsl

@dsl.component(base_image="python:3.11", packages_to_install=[], install_kfp_package=False)
def nothing(run_key: str):
    """Does nothing."""

@dsl.pipeline(name="noop")
def noop(run_key: str):
    """One empty step."""
    nothing(run_key=run_key)

compiler.Compiler().compile(noop, "noop.yaml")
'''
CONFIG = """
[[models]]
name = "churn"
bucket = "drops"
drops = "churn_data_{period}.csv"
[models.training]
pipeline = "%s"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A workspace for one measurement."""

    root: Path

    @property
    def drops(self) -> Path:
        """The bucket."""
        return self.root / "drops"

    @property
    def log(self) -> Path:
        """What the daemon wrote."""
        return self.root / "daemon.log"

    def prepare(self, *, noop: bool = False) -> None:
        """Write the configuration, and compile the empty pipeline when it is wanted."""
        self.drops.mkdir(parents=True)
        if noop:
            (self.root / "noop.py").write_text(NOOP)  # kfp reads the source of a component from its file
            subprocess.run([sys.executable, "noop.py"], cwd=self.root, check=True, capture_output=True)
        (self.root / "trainer.toml").write_text(CONFIG % ("noop.yaml" if noop else "training"))

    def drop(self, name: str, text: str) -> None:
        """Upload by renaming into place."""
        scratch = self.root / f".{name}"
        scratch.write_text(text)
        scratch.rename(self.drops / name)

    @contextmanager
    def daemon(self, *arguments: str) -> Iterator[psutil.Process]:
        """A running daemon; ended by SIGTERM."""
        with self.log.open("ab") as log:
            command: list[str | Path] = [TOOL, "run", "--config", self.root / "trainer.toml", *arguments]
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield psutil.Process(child.pid)
        finally:
            child.terminate()
            child.wait(20)

    def count(self, event: str) -> int:
        """How many log lines of an event there are."""
        text = self.log.read_text() if self.log.exists() else ""
        return text.count(json.dumps(event))

    def has(self, event: str, times: int) -> bool:
        """Whether an event was logged so often."""
        return self.count(event) >= times


def wait_for(condition: Callable[[], object], timeout_s: float, step_s: float = 0.005) -> float:
    """Seconds until the condition holds.

    Raises:
        TimeoutError: It does not in time.
    """
    start = time.perf_counter()
    while not condition():
        if time.perf_counter() - start > timeout_s:
            raise TimeoutError
        threading.Event().wait(step_s)
    return time.perf_counter() - start


def tree_pss_mb(process: psutil.Process) -> float:
    """Proportional set size of a process and everything below it, in MB."""
    return float(sum(member.memory_full_info().pss for member in [process, *process.children(recursive=True)]) / 1e6)


def tree_cpu_s(process: psutil.Process) -> float:
    """Processor seconds of a process, its children, and those that have ended."""
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


def measure_start(root: Path, rounds: int = 5) -> dict[str, float]:
    """Seconds from the start of the process to `daemon_started`, on a ledger that exists; the first start makes it."""
    bench = Bench(root=root)
    bench.prepare()
    seconds = []
    for number in range(rounds + 1):
        with bench.daemon():
            seconds.append(wait_for(partial(bench.has, "daemon_started", number + 1), 30))
    return {"first start to ready, s": seconds[0], "start to ready, s (median)": statistics.median(seconds[1:])}


def measure_idle(root: Path, seconds: float = 60.0) -> dict[str, float]:
    """Memory and processor time of a daemon that has trained a drop and has nothing to do."""
    bench = Bench(root=root)
    bench.prepare()
    bench.drop("churn_data_2025_01.csv", monthly_drop(drift=0.0, seed=1))
    with bench.daemon() as process:
        wait_for(lambda: bench.count("candidate_promoted"), 120)
        wait_for(lambda: not process.children(recursive=True), 120)
        before = tree_cpu_s(process)
        threading.Event().wait(seconds)
        cpu = (tree_cpu_s(process) - before) / seconds
        return {"idle memory of the tree, MB (PSS)": tree_pss_mb(process), "idle CPU, % of one core": 100 * cpu}


def measure_latency(root: Path, rounds: int = 5) -> dict[str, float]:
    """Seconds from a drop that lies there to the first line of its first step, with nothing imported before."""
    bench = Bench(root=root)
    bench.prepare()
    seconds = []
    with bench.daemon() as process:
        for number in range(rounds + 1):
            bench.drop(f"churn_data_2025_{number + 1:02}.csv", monthly_drop(drift=min(number, 2) / 2, seed=number))
            seconds.append(wait_for(partial(_says, bench, "load_and_preprocess_data of", number + 1), 60))
            wait_for(partial(_has_decided, bench, number + 1), 120)
            wait_for(lambda: not process.children(recursive=True), 120)
    return {
        "very first drop to first line of its first step, s": seconds[0],
        "drop to first line of its first step, s (median)": statistics.median(seconds[1:]),
    }


def _says(bench: Bench, line: str, runs: int) -> bool:
    logs = (bench.root / "var" / "runs").glob("*/log.txt")
    return sum(line in path.read_text() for path in logs) >= runs


def _has_decided(bench: Bench, runs: int) -> bool:
    return bench.count("candidate_promoted") + bench.count("candidate_rejected") >= runs


def measure_burst(root: Path, drops: int = 200) -> dict[str, float]:
    """Seconds for many drops at once with a pipeline that does nothing, from the first look to the last decision."""
    bench = Bench(root=root)
    bench.prepare(noop=True)
    for number in range(drops):
        bench.drop(f"churn_data_{2000 + number // 12}_{number % 12 + 1:02}.csv", f"a,Churn\n{number},1\n")
    start = time.perf_counter()
    with bench.daemon("--until-idle") as process:
        process.wait(600)
    seconds = time.perf_counter() - start
    submitted, decided = bench.count("run_submitted"), bench.count("candidate_rejected")
    assert (submitted, decided) == (drops, drops), (submitted, decided)  # noqa: S101 - a figure of a wrong run is none
    return {f"{drops} no-op runs, s": seconds, f"of {drops} drops, runs started": submitted}
