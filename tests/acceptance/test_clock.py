"""The wall clock jumps a day forward, then to an hour before the start; what has to be done soon is still done soon."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.acceptance.conftest import MakeWorkspace
from tests.acceptance.harness import Workspace, wait_until
from tests.acceptance.test_health import ask, ended
from tests.emulators.processes import free_address

SOON_S = 240.0
"""No jump's length, and long enough for a busy machine."""


_START = """
import os, select, time
os.environ.pop("LD_PRELOAD", None)  # what the daemon starts has the true time
time.sleep = lambda seconds: select.select([], [], [], seconds) and None  # libfaketime 0.9.10 breaks clock_nanosleep
"""
"""Run by every Python at its start."""


class Clock:
    """The clock of every daemon that is started from now on.

    Args:
        file: Where it is written what the time is.
        monkeypatch: Sets the environment.
    """

    def __init__(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        if not found:
            (pytest.fail if os.environ.get("CI") else pytest.skip)("libfaketime is not installed: apt-get install faketime")
        self._file = file
        self.jump("+0")
        monkeypatch.setenv("LD_PRELOAD", str(found[0]))
        site = file.with_suffix(".site")
        site.mkdir()
        (site / "sitecustomize.py").write_text(_START)
        monkeypatch.setenv("PYTHONPATH", str(site), prepend=os.pathsep)
        monkeypatch.setenv("FAKETIME_TIMESTAMP_FILE", str(file))
        monkeypatch.setenv("FAKETIME_CACHE_DURATION", "1")
        monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")  # a clock that is set leaves it alone
        monkeypatch.setenv("NO_FAKE_STAT", "1")  # the bucket is on a machine whose clock is right

    def jump(self, offset: str) -> None:
        """Let it be so much beside the true time, as `+1d` or `-1h`."""
        scratch = self._file.with_suffix(".part")
        scratch.write_text(offset)
        scratch.rename(self._file)


def decided(workspace: Workspace) -> list[str]:
    """The names of the drops that were decided on, in order."""
    return [line["drop"].rpartition("/")[2].partition("#")[0] for line in workspace.logged("candidate_rejected")]


@pytest.mark.timeout(1800)
def test_jumps_of_the_clock_delay_and_repeat_nothing(
    light_workspace: MakeWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A drop after each jump, a retry across the jump back; nothing is missed, late or repeated, and the schedule fires once."""
    # far from now, so that of all the jumps only the one over a day passes it
    address, noon = free_address(), (datetime.now(UTC) + timedelta(hours=12)).hour
    workspace = light_workspace(
        top=f'[http]\nlisten = "{address}"', retry_backoff_s=8.0, listing_interval_s=1.0, schedule=f"0 {noon} * * *"
    )
    clock = Clock(tmp_path / "clock", monkeypatch)
    workspace.start()
    names = [f"churn_data_2025_{month:02}.csv" for month in range(1, 5)]
    workspace.drop(names[0], "a,Churn\nplain,1\n")
    wait_until(lambda: decided(workspace) == names[:1], "the first drop is decided on", SOON_S)
    clock.jump("+1d")
    workspace.drop(names[1], "a,Churn\nplain,2\n")
    wait_until(lambda: decided(workspace) == names[:2], "a drop after the jump forward", SOON_S)
    wait_until(lambda: _schedules(workspace), "the schedule that fired meanwhile", SOON_S)
    workspace.drop(names[2], "a,Churn\nflaky,1\n")
    wait_until(lambda: workspace.logged("run_failed"), "the first attempt fails", SOON_S)
    clock.jump("-1h")
    wait_until(lambda: decided(workspace) == names[:3], "the retry, in spite of the jump back", SOON_S)
    workspace.drop(names[3], "a,Churn\nplain,4\n")
    wait_until(lambda: decided(workspace) == names, "a drop after the jump back", SOON_S)
    status, alive = ask(address, "/livez")
    assert (status, alive["status"]) == (200, "alive")
    assert ended(workspace)
    monkeypatch.undo()
    assert [(run["state"], run["attempt"]) for run in workspace.status()["runs"]] == [("REJECTED", at) for at in (1, 1, 2, 1)]
    assert len(_schedules(workspace)) == 1
    assert [workspace.logged(name) for name in ("drop_missed_by_notification", "run_lost", "reconcile_crashed")] == [[], [], []]
    assert workspace.processes() == []


def _schedules(workspace: Workspace) -> list[str]:
    """The fires that were recorded."""
    return [line["event_id"] for line in workspace.logged("event_recorded") if line["event_id"].startswith("cron:")]
