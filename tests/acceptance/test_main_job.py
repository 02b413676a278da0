"""The main job with the real process: drops in a folder become runs, decisions and a champion."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.acceptance import bad_drops
from tests.acceptance.conftest import MakeWorkspace
from tests.acceptance.harness import FINAL, PATIENCE_S, TOOL, Workspace, wait_until
from tests.acceptance.registry_view import look, set_alias
from tests.acceptance.test_health import MEMORY_MIB_MAX, ended, has_status, scraped
from tests.emulators.processes import free_address
from trainer_daemon.demo_data import monthly_drop

STORY = ["event_recorded", "run_queued", "run_submitted", "run_trained", "candidate_promoted"]
"""What an operator reads about a drop that became champion."""
ROWS_OF_A_LONG_RUN = 50_000
LASTING = (
    "trainer_drops{",
    "trainer_runs{",
    "trainer_run_duration",
    "trainer_decisions_total",
    "trainer_rule",
    "trainer_evaluation",
)
"""What the figures begin with that the ledger knows."""


@pytest.mark.timeout(1800)
def test_monthly_drops_become_runs_decisions_and_a_champion(make_workspace: MakeWorkspace) -> None:
    """Months with drift, told by ledger, registry, log and figures alike, whatever daemon, uploader or operator does."""
    address = free_address()
    top, training = f'[http]\nlisten = "{address}"', {"estimator": "logistic_regression"}
    workspace = make_workspace(top=top, schedule="0 3 29 2 *", training=training)
    bad_drops.add_model(workspace)
    daemon = workspace.start()
    require_alive_and_ready(address, daemon.pid)
    require_second_daemon_to_be_refused(workspace, daemon)
    require_half_written_file_to_be_trained_when_it_is_complete(workspace)
    require_figures_of_what_has_happened(address)
    require_one_filter_to_find_everything_about_a_drop(workspace)
    require_corrected_upload_to_supersede_the_run_under_way(workspace)
    require_operator_to_trigger_and_cancel(workspace)
    bad_drops.require_bad_drops_to_cost_themselves_only(workspace)
    require_alias_moved_by_hand_to_be_respected(workspace)
    require_next_daemon_to_go_on_with_a_run(workspace)
    require_alias_moved_while_no_daemon_ran_to_be_respected(workspace)
    require_figures_after_a_restart_as_before(workspace, address)
    require_log_lines_as_cloud_logging_wants_them(workspace)


def happens(workspace: Workspace, event: str, act: Callable[[], object]) -> dict[str, Any]:
    """Do something, and wait until the log tells of it; returns the line."""
    before = len(workspace.logged(event))
    act()
    line: dict[str, Any] = wait_until(lambda: workspace.logged(event)[before:], f"the log has {event}")[0]
    return line


def states(workspace: Workspace) -> list[tuple[str, str]]:
    """Period and state of every run, in the order of their beginning."""
    return [(run["period"], run["state"]) for run in workspace.status()["runs"]]


def require_alive_and_ready(address: str, pid: int) -> None:
    """Every loop is asked about, the schedule's too, and every part that is configured; being asked keeps it small."""
    ready = has_status(address, "/readyz", 200)
    parts = ("daemon", "ledger", "orchestrator", "mlflow", "bucket churn", "bucket bad")
    assert ready == {"status": "ready", "parts": dict.fromkeys(parts, "ok")}
    alive = has_status(address, "/livez", 200)
    loops = ("start", "main", "lease", "reconcile churn", "list churn", "schedule churn", "reconcile bad", "list bad")
    assert alive == {"status": "alive", "loops": dict.fromkeys(loops, "ok")}
    assert psutil.Process(pid).memory_info().rss < MEMORY_MIB_MAX * 2**20


def require_second_daemon_to_be_refused(workspace: Workspace, first: "subprocess.Popen[bytes]") -> None:
    """On the same ledger, with the first one's process id."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAINER_HTTP__LISTEN", free_address())
        done = workspace.call("run")
    assert done.returncode == 1
    assert f"another daemon (pid {first.pid})" in done.stderr + done.stdout


def require_half_written_file_to_be_trained_when_it_is_complete(workspace: Workspace) -> None:
    """And not before, as it is then."""
    text = monthly_drop(drift=0.0, seed=1)
    with (workspace.drops / "churn_data_2025_03.csv").open("w") as file:
        file.write(text[:5000])
        file.flush()
        happens(workspace, "drop_quarantined", lambda: workspace.drop("churn_data_2025_01.csv", "no header"))
        file.write(text[5000:])
    wait_until(lambda: workspace.logged("candidate_promoted"), "the complete file is promoted")
    assert states(workspace) == [("2025-01", "QUARANTINED"), ("2025-03", "PROMOTED")]


def require_one_filter_to_find_everything_about_a_drop(workspace: Workspace) -> None:
    """From its arrival to the decision; every line of its run has the run's key, and another drop's lines are not among them."""
    lines = filtered(workspace, "2025_03")
    assert [line["message"] for line in lines] == STORY
    of_the_run = [line for line in workspace.events() if line["severity"] != "DEBUG" and "2025-03" in line.get("run", "")]
    assert of_the_run == lines[1:]
    keys = {line["logging.googleapis.com/labels"].get("run_key") for line in of_the_run}
    assert keys == {workspace.status()["runs"][1]["key"]}
    assert filtered(workspace, "2025_01")[-1]["message"] == "drop_quarantined"


def filtered(workspace: Workspace, drop: str) -> list[dict[str, Any]]:
    """The lines from info on that Cloud Logging finds by the label of a drop."""
    lines = [line for line in workspace.events() if line["severity"] != "DEBUG"]
    return [line for line in lines if drop in line.get("logging.googleapis.com/labels", {}).get("drop", "")]


def require_corrected_upload_to_supersede_the_run_under_way(workspace: Workspace) -> None:
    """The older run is ended and never promoted; the corrected bytes are trained."""
    drop = "churn_data_2025_05.csv"
    long = monthly_drop(drift=0.5, seed=2, rows=ROWS_OF_A_LONG_RUN)
    happens(workspace, "run_submitted", lambda: workspace.drop(drop, long))
    happens(workspace, "candidate_promoted", lambda: workspace.drop(drop, monthly_drop(drift=0.5, seed=1)))
    status = workspace.status()
    assert states(workspace)[2:] == [("2025-05", "SUPERSEDED"), ("2025-05", "PROMOTED")]
    assert status["superseded"] == status["runs"][2]["drops"]


def require_operator_to_trigger_and_cancel(workspace: Workspace) -> None:
    """Through the ledger, within a moment; an equal run is not repeated, a forced one is, and can be cancelled."""
    trigger = ("trigger", "--model", "churn", "--period", "2025-03")
    happens(workspace, "event_duplicated", lambda: ended_well(workspace, *trigger))
    forced = happens(workspace, "run_submitted", lambda: ended_well(workspace, *trigger, "--force"))
    happens(workspace, "run_canceled", lambda: ended_well(workspace, "cancel", forced["run"]))
    assert states(workspace)[4:] == [("2025-03", "CANCELED")]


def ended_well(workspace: Workspace, *command: str) -> None:
    """Call a command."""
    done = workspace.ask(*command)
    assert done.returncode == 0, done.stderr


def require_alias_moved_by_hand_to_be_respected(workspace: Workspace) -> None:
    """Under a daemon at work: it says so, keeps to it, and compares the next candidate with who is champion now."""
    assert workspace.status()["champion"]["version"] == "2"
    set_alias(workspace.root, "champion", "1")
    happens(workspace, "candidate_promoted", lambda: workspace.drop("churn_data_2025_06.csv", monthly_drop(drift=1.0, seed=1)))
    (moved,) = workspace.logged("champion_moved_externally")
    assert (moved["severity"], moved["champion_version"], moved["previous_version"]) == ("WARNING", "1", "2")
    assert len(workspace.logged("run_reevaluated")) == 1
    assert "evaluated on held-out rows against champion version 1" in workspace.status()["runs"][5]["decision"]["reasons"]
    assert look(workspace.root).aliases == {"champion": "3", "previous-champion": "1", "candidate": "3"}
    assert "version 1 was found to be champion, put there outside the daemon" in workspace.ask("explain", "1").stdout
    told = "version 2 stopped being champion: version 1 was put there outside the daemon"
    assert told in workspace.ask("explain", "2").stdout


def require_next_daemon_to_go_on_with_a_run(workspace: Workspace) -> None:
    """SIGTERM ends it within ten seconds; the run is adopted, not repeated, and an identical re-upload starts none."""
    run = happens(workspace, "run_submitted", lambda: workspace.drop("churn_data_2025_07.csv", monthly_drop(drift=1.0, seed=2)))
    assert ended(workspace)
    assert states(workspace)[6:] == [("2025-07", "RUNNING")]
    (workspace.drops / "churn_data_2025_03.csv").touch()
    workspace.drop("churn_data_2025_02.csv", "no header")
    set_alias(workspace.root, "champion", "1")
    known = len(duplicates(workspace))
    workspace.start()
    ends = [("2025-07", "PROMOTED"), ("2025-02", "QUARANTINED")]
    wait_until(lambda: states(workspace)[6:] == ends, "both runs have ended", every_s=0.5)
    assert len(duplicates(workspace)) == known + 1
    submitted = [line["run"] for line in workspace.logged("run_submitted")]
    assert run["run"] in submitted
    assert len(set(submitted)) == len(submitted)
    assert workspace.logged("run_lost") == []


def duplicates(workspace: Workspace) -> list[dict[str, Any]]:
    """What the log says of events that start nothing."""
    return [line for line in workspace.logged("event_duplicated") if line["model"] == "churn"]


def require_alias_moved_while_no_daemon_ran_to_be_respected(workspace: Workspace) -> None:
    """The evidence against the old champion is not used; the candidate is compared with the one that is champion now."""
    assert [line["champion_version"] for line in workspace.logged("champion_moved_externally")] == ["1", "1"]
    assert len(workspace.logged("run_reevaluated")) == 2
    status, registry = workspace.status(), look(workspace.root)
    promoted = [run for run in status["runs"] if run["state"] == "PROMOTED"]
    assert [run["period"] for run in promoted] == ["2025-03", "2025-05", "2025-06", "2025-07"]
    assert status["champion"] == {"version": "4", "run": promoted[3]["name"]}
    assert registry.aliases == {"champion": "4", "previous-champion": "1", "candidate": "4"}
    assert [tags["validation_status"] for tags in registry.versions.values()] == ["approved"] * 4
    assert {tags["trainer.run_key"] for tags in registry.versions.values()} == {run["key"] for run in promoted}
    rules = json.loads(registry.versions["4"]["trainer.decision"])["rules"]
    assert {rule["rule"]: rule["result"] for rule in rules}["min_gain[log_loss]"] == "passed"


def require_figures_of_what_has_happened(address: str) -> None:
    """Drops, decisions, the champion, and what was called."""
    figures = scraped(address)
    assert figures['trainer_drops{model="churn",outcome="promoted"}'] == 1
    assert figures['trainer_drops{model="churn",outcome="quarantined"}'] == 1
    assert figures['trainer_decisions_total{model="churn",verdict="promote"}'] == 1
    assert figures['trainer_champion_info{model="churn",period="2025-03",version="1"}'] == 1
    assert figures['trainer_run_duration_seconds_count{model="churn",state="TRAINED"}'] == 1
    assert figures['trainer_call_duration_seconds_count{call="promote",service="mlflow"}'] == 1
    assert figures['trainer_last_successful_look_timestamp_seconds{model="churn"}'] > 0


def require_figures_after_a_restart_as_before(workspace: Workspace, address: str) -> None:
    """What the ledger knows; calls are counted since the start."""
    before = scraped(address)
    assert 'trainer_call_duration_seconds_count{call="promote",service="mlflow"}' in before
    assert ended(workspace)
    workspace.start()
    has_status(address, "/readyz", 200)
    after = scraped(address)
    assert {name: after.get(name) for name in before if name.startswith(LASTING)} == {
        name: value for name, value in before.items() if name.startswith(LASTING)
    }
    assert 'trainer_call_duration_seconds_count{call="promote",service="mlflow"}' not in after
    assert ended(workspace)


def require_log_lines_as_cloud_logging_wants_them(workspace: Workspace) -> None:
    """JSON with its fields, every line, and the work's own names in the labels."""
    lines = workspace.log.read_text().splitlines()
    assert len(lines) == len(workspace.events())
    assert all({"severity", "time", "message"} <= set(line) for line in workspace.events())
    promoted = workspace.logged("candidate_promoted")[0]
    assert promoted["severity"] == "INFO"
    assert promoted["logging.googleapis.com/labels"]["run"] == promoted["run"]
    assert all(run["state"] in FINAL for run in workspace.status()["runs"])


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
    assert daemon.wait(PATIENCE_S) == 1


def test_wrong_configuration_exits_with_2_and_one_sentence_per_key(tmp_path: Path) -> None:
    """All of them at once, with the key that was meant."""
    broken = Workspace(tmp_path, model={"hold_out_ratio": 0.3, "promotion": {"metrik": "log_loss"}})
    done = broken.call("run")
    assert done.returncode == 2
    assert "holdout_ratio" in done.stderr
    assert "metric" in done.stderr
