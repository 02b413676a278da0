"""A hundred drops of ten models at once: never more runs at a time than allowed, each drop once, and memory stays flat."""

import json
import time
import urllib.request
from collections import Counter

import psutil
import pytest

from tests.acceptance.conftest import MakeWorkspace
from tests.acceptance.harness import Workspace, pause, wait_until
from tests.acceptance.ledger_view import LedgerView
from tests.acceptance.test_health import ended
from tests.emulators.kfp_server import KfpServer

MODELS = [f"model-{number:02}" for number in range(10)]
DROPS_OF_EACH, PARALLEL = 10, 5
DROPS = len(MODELS) * DROPS_OF_EACH
GROWTH_MIB_MAX = 20
PAUSE_S = 15.0
"""After so long nothing more is submitted until a run has ended."""
PATIENCE_S = 900.0


def with_models(light_workspace: MakeWorkspace, server: KfpServer) -> Workspace:
    """A folder for each model, and the drops in them."""
    orchestrator = f'[orchestrator]\nkind = "kubeflow"\nhost = "{server.host}"\nimage = "trainer:1"\nlook_interval_s = 0.3'
    workspace = light_workspace("hello", top=f"max_parallel_runs = {PARALLEL}\n{orchestrator}")
    with workspace.config.open("a") as config:
        for model in MODELS:
            config.write(f'[[models]]\nname = "{model}"\nbucket = "drops/{model}"\ntraining = {{ pipeline = "hello" }}\n')
    for number in range(DROPS):
        folder = workspace.drops / MODELS[number % len(MODELS)]
        folder.mkdir(exist_ok=True)
        (folder / f"churn_data_2025_{number // len(MODELS) + 1:02}.csv").write_text(f"a,Churn\n{number},1\n")
    return workspace


def runs_of(server: KfpServer) -> list[dict[str, str]]:
    """Every run of the server."""
    url = f"{server.host}/apis/v2beta1/runs?page_size=200"
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - our own address
        runs: list[dict[str, str]] = json.loads(answer.read()).get("runs", [])
    return runs


@pytest.mark.timeout(int(2 * PATIENCE_S))
def test_overload_is_worked_off_within_its_bounds(light_workspace: MakeWorkspace, kfp_server: KfpServer) -> None:
    """As the orchestrator sees it, which is told by the test when a run has ended."""
    kfp_server.hold_runs()
    workspace = with_models(light_workspace, kfp_server)
    daemon = psutil.Process(workspace.start().pid)
    most, seen, changed_at, rss_mib = 0, 0, time.monotonic(), list[float]()

    def all_were_run() -> bool:
        nonlocal most, seen, changed_at
        runs = runs_of(kfp_server)
        under_way = [run["run_id"] for run in runs if run["state"] != "SUCCEEDED"]
        changed_at = time.monotonic() if len(runs) > seen else changed_at
        most, seen = max(most, len(under_way)), len(runs)
        if len(runs) > DROPS // 4:
            rss_mib.append(daemon.memory_info().rss / 2**20)
        left = Counter(run["display_name"][: len(MODELS[0])] for run in runs if run["state"] == "SUCCEEDED")
        busy = min(PARALLEL, sum(left[model] < DROPS_OF_EACH for model in MODELS))
        if len(under_way) >= busy or time.monotonic() - changed_at > PAUSE_S:
            for run_id in under_way:
                kfp_server.enter(run_id, "SUCCEEDED")
        return len(runs) == DROPS and not under_way

    wait_until(all_were_run, "every drop is run", PATIENCE_S, every_s=0.5)
    ledger = LedgerView(workspace.root / "var" / "ledger.db")
    wait_until(lambda: ledger.decided() == DROPS, "every run is decided on", PATIENCE_S, every_s=0.5)
    assert most == PARALLEL
    assert max(rss_mib) - rss_mib[0] < GROWTH_MIB_MAX
    pause(1.0)  # nothing more is to come
    assert Counter(run["display_name"] for run in runs_of(kfp_server)).most_common(1)[0][1] == 1
    assert len({run.checksum for run in ledger.runs()}) == len(ledger.runs()) == len(runs_of(kfp_server)) == DROPS
    assert ended(workspace)
