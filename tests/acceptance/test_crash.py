"""`kill -9` at random moments while ten drops are worked on: nothing is lost, nothing is done twice."""

import random
from collections import Counter
from functools import partial

import pytest

from tests.acceptance.harness import Workspace, pause, wait_until
from tests.acceptance.registry_view import look
from trainer_daemon.demo_data import monthly_drop

MONTHS = [f"2025-{month:02}" for month in range(1, 11)]


def kill_daemon(workspace: Workspace) -> None:
    """Only the daemon dies; the run under way goes on without it."""
    workspace.children[-1].kill()
    workspace.children[-1].wait(240)


def decided(workspace: Workspace) -> int:
    """How many drops have been decided on."""
    return len(workspace.logged("candidate_promoted") + workspace.logged("candidate_rejected"))


def has_begun(workspace: Workspace, steps: int) -> bool:
    """Whether the logs of all runs together have the beginnings of so many steps."""
    logs = (workspace.root / "var" / "runs").glob("*/log.txt")
    return sum(log.read_text().count("Executing task ") for log in logs) >= steps


@pytest.mark.timeout(1800)
def test_every_drop_has_one_run_one_version_and_there_is_one_champion(workspace: Workspace) -> None:
    """Whether everything of the daemon is killed, or it alone, and whenever."""
    moments, kills = random.Random(1), [Workspace.kill_tree, kill_daemon]
    for at, month in enumerate(MONTHS):
        workspace.drop(f"churn_data_{month}.csv", monthly_drop(drift=min(at, 2) / 2, seed=at))
    hits = 0
    for number, kill in enumerate(kills):
        workspace.start()
        # kills are spread over the work, each in the middle of a run, wherever that is by then
        wait_until(partial(has_begun, workspace, 4 * len(MONTHS) * number // len(kills) + 1), "work goes on", 600)
        pause(moments.uniform(0.0, 3.0))
        kill(workspace)
        hits += decided(workspace) < len(MONTHS)
    assert hits > len(kills) // 2, "most kills came too late to hit anything"
    assert workspace.run_until_idle(900) == 0

    status = workspace.status()
    assert [run["period"] for run in status["runs"]] == MONTHS
    assert {run["state"] for run in status["runs"]} <= {"PROMOTED", "REJECTED"}
    assert all(run["attempt"] == 1 for run in status["runs"])
    registry = look(workspace.root)
    keys = [run["key"] for run in status["runs"]]
    assert sorted(tags["trainer.run_key"] for tags in registry.versions.values()) == sorted(keys)
    assert Counter(registry.run_keys) == Counter(keys)
    promoted = [run for run in status["runs"] if run["state"] == "PROMOTED"]
    assert registry.aliases["champion"] == promoted[-1]["model_version"] == status["champion"]["version"]
    assert workspace.processes() == []
