"""`trainer-daemon predict` as a process: killed, repeated, and beside a daemon at work."""

import json
import os
import re
import subprocess
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.acceptance.harness import TOOL, Workspace, wait_until
from tests.emulators.kfp_server import KfpServer
from trainer_daemon.demo_data import monthly_drop

TIMEOUT_S = 600


def arguments(dataset: Path, *options: str) -> tuple[str, ...]:
    """Of the command but for its configuration; JSON on standard output."""
    return ("predict", "--dataset", os.fspath(dataset), "--json", *options)


def begun(workspace: Workspace, dataset: Path, *options: str) -> "subprocess.Popen[bytes]":
    """Call it as a process of its own, to be killed."""
    name, *others = arguments(dataset, *options)
    with (workspace.root / "predict.log").open("wb") as log:
        return subprocess.Popen(
            [TOOL, name, "--config", workspace.config, *others], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )


def predict(workspace: Workspace, dataset: Path, *options: str) -> dict[str, Any]:
    """Call it and wait for the answer."""
    done = workspace.ask(*arguments(dataset, *options))
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def predict_runs(workspace: Workspace) -> list[Path]:
    """The folders of runs that predict."""
    return sorted((workspace.root / "var" / "runs").glob("churn-predict-*"))


@pytest.mark.timeout(1800)
def test_data_is_predicted_once_whatever_happens(workspace: Workspace) -> None:
    """Beside a daemon at work, and killed in the middle; what happens on a server of Kubeflow, `test_kubeflow` shows."""
    workspace.drop("churn_data_2025_01.csv", monthly_drop(drift=0.0, seed=1))
    daemon = workspace.start()
    wait_until(lambda: workspace.logged("candidate_promoted"), "there is a champion, version 1", TIMEOUT_S)
    require_neither_to_disturb_the_other(workspace)
    daemon.terminate()
    assert daemon.wait(240) == 0
    require_one_run_and_one_file_after_kills(workspace)


def a_data_set(workspace: Workspace, rows: int, *, seed: int) -> Path:
    """Customers outside the bucket, others for each seed."""
    path = workspace.root / f"customers of may {seed}.csv"
    path.write_text(monthly_drop(drift=0.5, seed=seed, rows=rows))
    return path


def kill_everything(workspace: Workspace, child: "subprocess.Popen[bytes]") -> None:
    """The machine dies."""
    child.kill()
    workspace.kill_tree()


def kill_command(workspace: Workspace, child: "subprocess.Popen[bytes]") -> None:
    """Only the command dies; the run goes on without it."""
    del workspace
    child.kill()


def require_one_run_and_one_file_after_kills(workspace: Workspace) -> None:
    """A repetition begins the run again under its name, or follows it if it goes on; another call only finds the predictions."""
    rows, before, files = 20_000, set(predict_runs(workspace)), written(workspace)
    dataset = a_data_set(workspace, rows, seed=4)

    def has_begun(times: int) -> bool:
        return times_begun() == times

    def times_begun() -> int:
        return sum(len(re.findall(r"predicting \S+ …", _log(run))) for run in new_runs(workspace, before))

    for times, kill in enumerate((kill_everything, kill_command), 1):
        child = begun(workspace, dataset)
        wait_until(partial(has_begun, times), "the step predicts", TIMEOUT_S)
        kill(workspace, child)
        child.wait(240)

    answer = predict(workspace, dataset)
    assert answer["adopted"] or answer["existed"], "the run did not go on without the command"
    assert times_begun() == 2
    out = Path(answer["predictions"].removeprefix("file://"))
    assert answer["rows"] == pq.read_metadata(out).num_rows == rows
    assert [run.name for run in new_runs(workspace, before)] == [answer["run"]]
    assert written(workspace) - files == {out}
    again = predict(workspace, dataset)
    assert (again["existed"], again["run"]) == (True, answer["run"])
    wait_until(lambda: not workspace.processes(), "nothing is left running")


def new_runs(workspace: Workspace, before: Collection[Path]) -> list[Path]:
    """The folders of runs that predict, but for those that were there."""
    return [run for run in predict_runs(workspace) if run not in before]


def written(workspace: Workspace) -> set[Path]:
    """The files of predictions."""
    return {path for path in (workspace.root / "var" / "predictions").rglob("*") if path.is_file()}


def _log(run: Path) -> str:
    log = run / "log.txt"
    return log.read_text() if log.exists() else ""


def require_neither_to_disturb_the_other(workspace: Workspace) -> None:
    """The daemon trains its drop, knows of no prediction, and ends none; the version is the one of the call."""
    dataset = a_data_set(workspace, 2000, seed=5)
    workspace.drop("churn_data_2025_02.csv", monthly_drop(drift=1.0, seed=2))
    wait_until(lambda: len(workspace.logged("run_submitted")) > 1, "a run is under way")
    csv = workspace.root / "scores.csv"
    answer = predict(workspace, dataset, "--version", "1", "--out", os.fspath(csv))
    assert (answer["version"], answer["rows"]) == ("1", len(csv.read_text().splitlines()) - 1)
    wait_until(lambda: workspace.logged("candidate_promoted")[1:], "the daemon has decided", TIMEOUT_S)
    assert [run["period"] for run in workspace.status()["runs"]] == ["2025-01", "2025-02"]
    assert not [line for line in workspace.events() if "predict" in json.dumps(line).replace(str(workspace.root), "")]


def require_one_run_on_kubeflow(workspace: Workspace, kfp_server: KfpServer) -> None:
    """After a killed call and a lost reply: it is found by its name on the server, whose create was answered to nobody."""
    dataset, out = a_data_set(workspace, 2000, seed=6), workspace.root / "out"
    runs = kfp_server.request_counts()["POST /runs"]
    kfp_server.lose_replies("POST /runs", times=1)
    child = begun(workspace, dataset, "--out", f"{out}/")
    wait_until(lambda: kfp_server.request_counts()["POST /runs"] > runs, "the run is created", TIMEOUT_S)
    child.kill()
    child.wait(240)
    answer = predict(workspace, dataset, "--out", f"{out}/")
    assert answer["rows"] == 2000
    assert kfp_server.request_counts()["POST /runs"] == runs + 1
    assert [path.as_uri() for path in out.iterdir()] == [answer["predictions"]]


def require_refusal_in_one_sentence(workspace: Workspace, kfp_server: KfpServer) -> None:
    """Exit code 1; the columns are named, nothing is written, and the second call starts nothing."""
    runs, out = kfp_server.request_counts()["POST /runs"], workspace.root / "refused"
    dataset = workspace.root / "other.csv"
    dataset.write_text("Tenure,Price\n1,2\n3,4\n")
    said = []
    for _ in range(2):
        done = workspace.ask(*arguments(dataset, "--version", "1", "--out", f"{out}/"))
        assert (done.returncode, done.stdout) == (1, "")
        said.append(done.stderr.splitlines()[-1])
    assert said[0] == said[1]
    assert said[0].startswith(
        "error: the data cannot be predicted: the columns do not fit version 1 of churn: 'MonthlyCharges', "
    )
    assert kfp_server.request_counts()["POST /runs"] == runs + 1
    assert not out.exists() or not list(out.iterdir())
