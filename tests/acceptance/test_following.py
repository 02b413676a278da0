"""An operator follows one drop with one filter, through everything that the real process logs."""

from typing import Any

from tests.acceptance.harness import Workspace
from trainer_daemon.demo_data import monthly_drop

PATIENCE_S = 270.0
"""A run is several processes, which start slowly on a busy machine."""
STORY = ["event_recorded", "run_queued", "run_submitted", "run_trained", "candidate_promoted"]


def filtered(workspace: Workspace, drop: str) -> list[dict[str, Any]]:
    """The lines from info on that Cloud Logging finds by the label of a drop."""
    lines = [line for line in workspace.events() if line["severity"] != "DEBUG"]
    return [line for line in lines if drop in line.get("logging.googleapis.com/labels", {}).get("drop", "")]


def test_one_filter_finds_everything_about_a_drop(workspace: Workspace) -> None:
    """From its arrival to the decision; every line of its run has the run's key, and another drop's lines are not among them."""
    workspace.drop("churn_data_2025_03.csv", monthly_drop(drift=0.0, seed=1))
    workspace.drop("churn_data_2025_05.csv", "no,drop\n")
    assert workspace.run_until_idle(PATIENCE_S) == 0
    lines = filtered(workspace, "2025_03")
    assert [line["message"] for line in lines] == STORY
    of_the_run = [line for line in workspace.events() if line["severity"] != "DEBUG" and "2025-03" in line.get("run", "")]
    assert of_the_run == lines[1:]
    keys = {line["logging.googleapis.com/labels"].get("run_key") for line in of_the_run}
    assert keys == {workspace.status()["runs"][0]["key"]}
    assert filtered(workspace, "2025_05")[-1]["message"] == "drop_quarantined"
