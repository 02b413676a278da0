"""Overload: thousands of drops of several models at once; how many run at a time, and what memory does meanwhile."""

import sqlite3
import statistics
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import psutil

from benchmarks.daemon import CONFIG, Bench

MODELS, PARALLEL = 4, 2
_EVERY_S, _TELL_EVERY_S = 1.0, 60.0
_STANDSTILL_S = 300.0
"""No run was decided on for so long: nobody waits for the rest."""


def measure_overload(root: Path, drops: int) -> dict[str, float]:
    """No-op runs of drops that are all there at the start; every drop is run exactly once, or there is no figure.

    Raises:
        TimeoutError: It stands still.
    """
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
    began, ledger = time.monotonic(), root / "var" / "ledger.db"
    with bench.daemon("--until-idle") as process:
        rss_mb = _memory_until_ended(process, ledger)
    seconds = time.monotonic() - began
    decided, parallel = _outcome(ledger)
    assert decided == drops, decided  # noqa: S101 - a figure of a wrong run is none
    quarter = max(1, len(rss_mb) // 4)
    return {
        f"{drops} drops of {MODELS} models at once, s": seconds,
        f"most runs at a time, {PARALLEL} allowed": parallel,
        "memory of the daemon in the second quarter, MB": statistics.median(rss_mb[quarter : 2 * quarter] or rss_mb),
        "memory of the daemon in the last quarter, MB": statistics.median(rss_mb[-quarter:]),
    }


def _memory_until_ended(process: psutil.Process, ledger: Path) -> list[float]:
    """The daemon's memory, second by second, for as long as it gets on."""
    rss_mb, decided, since, told_at = list[float](), 0, time.monotonic(), time.monotonic()
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        rss_mb.append(process.memory_info().rss / 1e6)
        threading.Event().wait(_EVERY_S)
        now, found = time.monotonic(), _decided(ledger)
        if found > decided:
            decided, since = found, now
        if now - since > _STANDSTILL_S:
            msg = f"no run was decided on for {_STANDSTILL_S:g} s, after {decided} of them"
            raise TimeoutError(msg)
        if now - told_at > _TELL_EVERY_S:
            told_at = now
            print(f"  {decided} runs are decided on, {rss_mb[-1]:.0f} MB", file=sys.stderr, flush=True)
    return rss_mb


def _decided(ledger: Path) -> int:
    """How many runs were decided on; none before there is a ledger."""
    try:
        with closing(sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True)) as database:
            ((decided,),) = database.execute("select count(*) from run where state = 'REJECTED'")
    except sqlite3.OperationalError:
        return 0
    return int(decided)


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
