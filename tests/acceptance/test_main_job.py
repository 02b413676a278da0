"""The main job with the real process: drops in a folder become runs, decisions and a champion."""

import json
import signal
import subprocess
from pathlib import Path

from tests.acceptance.conftest import MakeWorkspace
from tests.acceptance.harness import FINAL, TOOL, Workspace, wait_until
from tests.acceptance.registry_view import look, set_alias
from trainer_daemon.demo_data import monthly_drop


def test_monthly_drops_become_runs_decisions_and_a_champion(workspace: Workspace) -> None:
    """Three months with drift, an identical re-upload, and everything told by ledger, registry and log alike."""
    for month, name in enumerate(("2025_03", "2025_05", "2025_06")):
        workspace.drop(f"churn_data_{name}.csv", monthly_drop(drift=month / 2, seed=1))
    assert workspace.run_until_idle() == 0
    status = workspace.status()
    assert [(run["period"], run["state"]) for run in status["runs"]] == [
        ("2025-03", "PROMOTED"),
        ("2025-05", "PROMOTED"),
        ("2025-06", "PROMOTED"),
    ]
    assert status["champion"] == {"version": "3", "run": status["runs"][2]["name"]}

    registry = look(workspace.root)
    assert registry.aliases == {"champion": "3", "previous-champion": "2", "candidate": "3"}
    assert {tags["validation_status"] for tags in registry.versions.values()} == {"approved"}
    assert {tags["trainer.run_key"] for tags in registry.versions.values()} == {run["key"] for run in status["runs"]}
    rules = json.loads(registry.versions["3"]["trainer.decision"])["rules"]
    assert {rule["rule"]: rule["result"] for rule in rules}["min_gain[log_loss]"] == "passed"

    (workspace.drops / "churn_data_2025_06.csv").touch()
    assert workspace.run_until_idle() == 0
    assert workspace.status() == status
    assert len(workspace.logged("event_duplicated")) == 1
    assert len(workspace.logged("run_submitted")) == 3


def test_corrected_upload_supersedes_the_run_that_is_under_way(workspace: Workspace) -> None:
    """The older run is ended and never promoted; the corrected bytes are trained."""
    daemon = workspace.start()
    workspace.drop("churn_data_2025_03.csv", monthly_drop(drift=0.0, seed=1))
    wait_until(lambda: workspace.logged("run_submitted"), "the first run is submitted")
    workspace.drop("churn_data_2025_03.csv", monthly_drop(drift=0.0, seed=2))
    wait_until(lambda: workspace.logged("candidate_promoted"), "the corrected drop is promoted")
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(10) == 0
    status = workspace.status()
    assert [run["state"] for run in status["runs"]] == ["SUPERSEDED", "PROMOTED"]
    assert status["superseded"] == status["runs"][0]["drops"]


def test_half_written_file_is_not_a_drop(workspace: Workspace) -> None:
    """It is trained when it is complete, as it is then."""
    text = monthly_drop(drift=0.0, seed=1)
    daemon = workspace.start()
    wait_until(lambda: workspace.logged("daemon_started"), "the daemon starts")
    with (workspace.drops / "churn_data_2025_03.csv").open("w") as file:
        file.write(text[:5000])
        file.flush()
        workspace.drop("churn_data_2025_01.csv", "no header")
        wait_until(lambda: workspace.logged("drop_quarantined"), "another drop is looked at meanwhile")
        file.write(text[5000:])
    wait_until(lambda: workspace.logged("candidate_promoted"), "the complete file is promoted")
    daemon.terminate()
    assert daemon.wait(10) == 0
    assert [run["state"] for run in workspace.status()["runs"]] == ["QUARANTINED", "PROMOTED"]


def test_sigterm_leaves_the_running_pipeline_to_the_next_daemon(workspace: Workspace) -> None:
    """It ends within ten seconds; the run goes on and is adopted, not repeated."""
    workspace.drop("churn_data_2025_03.csv", monthly_drop(drift=0.0, seed=1))
    daemon = workspace.start()
    wait_until(lambda: workspace.logged("run_submitted"), "the run is submitted")
    daemon.terminate()
    assert daemon.wait(10) == 0
    assert workspace.status()["runs"][0]["state"] == "RUNNING"
    assert workspace.run_until_idle() == 0
    assert workspace.status()["runs"][0]["state"] == "PROMOTED"
    assert len(workspace.logged("run_submitted")) == 1
    assert workspace.logged("run_lost") == []


def test_stopped_daemon_exits_0_even_when_a_run_has_failed(make_workspace: MakeWorkspace) -> None:
    """A stop is no failure; working until idle with a failed run is one."""
    workspace = make_workspace(training={"estimator": "logistic_regression", "hyperparameters": {"C": -1.0}}, attempts_max=1)
    workspace.drop("churn_data_2025_03.csv", monthly_drop(drift=0.0, seed=1))
    daemon = workspace.start()
    wait_until(lambda: workspace.logged("run_failed"), "the run fails")
    assert "'C'" in workspace.logged("run_failed")[0]["reason"]
    daemon.terminate()
    assert daemon.wait(10) == 0
    assert workspace.call("trigger").returncode == 0
    assert workspace.run_until_idle() == 1


def test_until_idle_ends_with_1_when_the_bucket_is_missing(workspace: Workspace) -> None:
    """It must not hang in a job that nobody watches."""
    workspace.drops.rmdir()
    assert workspace.run_until_idle() == 1
    assert "create the folder" in workspace.logged("reconcile_deferred")[0]["reason"]


def test_closed_output_ends_the_daemon(workspace: Workspace) -> None:
    """A daemon that cannot tell what it does must not look alive."""
    daemon = subprocess.Popen([TOOL, "run", "--config", workspace.config], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    workspace.children.append(daemon)
    assert daemon.stdout is not None
    daemon.stdout.readline()
    daemon.stdout.close()
    workspace.drop("churn_data_2025_03.csv", "no header")
    assert daemon.wait(60) == 1


def test_second_daemon_on_the_same_ledger_is_refused(workspace: Workspace) -> None:
    """With the first one's process id."""
    first = workspace.start()
    wait_until(lambda: workspace.logged("daemon_started"), "the daemon starts")
    done = workspace.call("run")
    assert done.returncode == 1
    assert f"another daemon (pid {first.pid})" in done.stderr + done.stdout


def test_alias_moved_by_hand_during_a_run_is_respected(workspace: Workspace) -> None:
    """The evidence against the old champion is not used; the candidate is compared with the one that is champion now."""
    for month, name in enumerate(("2025_03", "2025_05")):
        workspace.drop(f"churn_data_{name}.csv", monthly_drop(drift=month / 2, seed=1))
    assert workspace.run_until_idle() == 0
    daemon = workspace.start()
    workspace.drop("churn_data_2025_06.csv", monthly_drop(drift=1.0, seed=1))
    wait_until(lambda: len(workspace.logged("run_submitted")) == 3, "the third run is submitted")
    daemon.send_signal(signal.SIGSTOP)  # or it might be faster
    set_alias(workspace.root, "champion", "1")
    daemon.send_signal(signal.SIGCONT)
    wait_until(lambda: len(workspace.logged("candidate_promoted")) == 3, "the third candidate is promoted")
    daemon.terminate()
    assert daemon.wait(10) == 0
    assert workspace.logged("champion_moved_externally")[0]["champion_version"] == "1"
    assert len(workspace.logged("run_reevaluated")) == 1
    assert look(workspace.root).aliases == {"champion": "3", "previous-champion": "1", "candidate": "3"}
    assert len(look(workspace.root).versions) == 3


def test_operator_triggers_and_cancels_while_the_daemon_runs(workspace: Workspace) -> None:
    """Through the ledger, within a moment."""
    workspace.drop("churn_data_2025_03.csv", monthly_drop(drift=0.0, seed=1))
    assert workspace.run_until_idle() == 0
    daemon = workspace.start()
    wait_until(lambda: len(workspace.logged("daemon_started")) == 2, "the daemon starts")
    assert workspace.call("trigger", "--period", "2025-03").returncode == 0
    wait_until(lambda: workspace.logged("event_duplicated"), "an equal run is not repeated")
    assert workspace.call("trigger", "--period", "2025-03", "--force").returncode == 0
    wait_until(lambda: len(workspace.logged("run_submitted")) == 2, "a forced one is")
    name = workspace.logged("run_submitted")[1]["run"]
    assert workspace.call("cancel", name).returncode == 0
    wait_until(lambda: workspace.logged("run_canceled"), "and can be cancelled")
    daemon.terminate()
    assert daemon.wait(10) == 0
    assert sorted(run["state"] for run in workspace.status()["runs"]) == ["CANCELED", "PROMOTED"]


def test_log_lines_are_json_with_the_fields_of_cloud_logging(workspace: Workspace) -> None:
    """Every line, and the work's own names in the labels."""
    workspace.drop("churn_data_2025_03.csv", monthly_drop(drift=0.0, seed=1))
    assert workspace.run_until_idle() == 0
    lines = workspace.log.read_text().splitlines()
    assert len(lines) == len(workspace.events())
    assert all({"severity", "time", "message"} <= set(line) for line in workspace.events())
    promoted = workspace.logged("candidate_promoted")[0]
    assert promoted["severity"] == "INFO"
    assert promoted["logging.googleapis.com/labels"]["run"] == promoted["run"]
    assert all(run["state"] in FINAL for run in workspace.status()["runs"])


def test_wrong_configuration_exits_with_2_and_one_sentence_per_key(tmp_path: Path) -> None:
    """All of them at once, with the key that was meant."""
    broken = Workspace(tmp_path, model={"hold_out_ratio": 0.3, "promotion": {"metrik": "log_loss"}})
    done = broken.call("run")
    assert done.returncode == 2
    assert "holdout_ratio" in done.stderr
    assert "metric" in done.stderr
