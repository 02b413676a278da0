"""Overload: thousands of drops of several models at once; how many run at a time, and what memory does meanwhile."""

import sqlite3
import statistics
import threading
import time
from contextlib import closing
from pathlib import Path

import psutil

from benchmarks.daemon import CONFIG, Bench

MODELS, PARALLEL = 4, 2
_EVERY_S = 1.0


def measure_overload(root: Path, drops: int) -> dict[str, float]:
    """No-op runs of drops that are all there at the start; every drop is run exactly once, or there is no figure."""
    bench = Bench(root=root)
    bench.prepare(noop=True)
    models = [f"model-{number}" for number in range(MODELS)]
    config = "".join(
        CONFIG.replace('"churn"', f'"{model}"').replace('"drops"', f'"drops/{model}"') % "noop.yaml" for model in models
    )
    (root / "trainer.toml").write_text(f"max_parallel_runs = {PARALLEL}\n{config}")
    for model in models:
        (bench.drops / model).mkdir()
    for number in range(drops):
        model, month = models[number % MODELS], number // MODELS
        (bench.drops / model / f"churn_data_{1700 + month // 12}_{month % 12 + 1:02}.csv").write_text(f"a,Churn\n{number},1\n")
    began, rss_mb = time.monotonic(), list[float]()
    with bench.daemon("--until-idle") as process:
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            rss_mb.append(process.memory_info().rss / 1e6)
            threading.Event().wait(_EVERY_S)
    seconds = time.monotonic() - began
    decided, parallel = _outcome(root / "var" / "ledger.db")
    assert decided == drops, decided  # noqa: S101 - a figure of a wrong run is none
    quarter = max(1, len(rss_mb) // 4)
    return {
        f"{drops} drops of {MODELS} models at once, s": seconds,
        f"most runs at a time, {PARALLEL} allowed": parallel,
        "memory of the daemon in the second quarter, MB": statistics.median(rss_mb[quarter : 2 * quarter] or rss_mb),
        "memory of the daemon in the last quarter, MB": statistics.median(rss_mb[-quarter:]),
    }


def _outcome(ledger: Path) -> tuple[int, int]:
    """How many runs were decided on, each in its first attempt; and how many were under way at most."""
    with closing(sqlite3.connect(ledger)) as database:
        ((decided,),) = database.execute("select count(*) from run where state = 'REJECTED' and attempt = 1")
        moves = list(database.execute("select from_state, to_state from transition order by id"))
    running, most = 0, 0
    for before, after in moves:
        running += (after == "RUNNING") - (before == "RUNNING")
        most = max(most, running)
    return int(decided), most
