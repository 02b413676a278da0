"""A step takes more memory than there is: the step dies, the daemon does not, and the reason is named."""

import os
import re
import resource
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.acceptance.conftest import MakeWorkspace
from tests.acceptance.harness import wait_until
from tests.acceptance.test_health import ended

LIMIT_BYTES = 700 * 2**20
"""Enough for the daemon, its processes and a step that behaves."""
ADDRESSES_BYTES = 3 * 2**30
PATIENCE_S = 300.0
CGROUPS = Path("/sys/fs/cgroup")
Limit = Callable[[int], None]


@pytest.fixture
def limit() -> Iterator[Limit]:
    """Limits the memory of a process with what it starts: by a control group, or what each may address where none can be made."""
    parent = CGROUPS / "memory" if (CGROUPS / "memory").is_dir() else CGROUPS
    group, is_first = parent / f"trainer-test-{os.getpid()}", parent.name == "memory"
    try:
        group.mkdir()
        (group / ("memory.limit_in_bytes" if is_first else "memory.max")).write_text(str(LIMIT_BYTES))
        if not is_first:
            (group / "memory.swap.max").write_text("0")
    except OSError:
        with suppress(OSError):
            group.rmdir()
        yield _limit_addresses
        return

    def join(pid: int) -> None:
        (group / "cgroup.procs").write_text(str(pid))

    yield join
    wait_until(lambda: not (group / "cgroup.procs").read_text(), "the group is empty")
    group.rmdir()


def _limit_addresses(pid: int) -> None:
    resource.prlimit(pid, resource.RLIMIT_AS, (ADDRESSES_BYTES, ADDRESSES_BYTES))


@pytest.mark.timeout(1800)
def test_step_that_runs_out_of_memory_dies_alone(light_workspace: MakeWorkspace, limit: Limit) -> None:
    """The next drop is trained as if nothing had been."""
    workspace = light_workspace(attempts_max=1)
    daemon = workspace.start()
    limit(daemon.pid)
    workspace.drop("churn_data_2025_03.csv", "a,Churn\nhoard,1\n")
    (failed,) = wait_until(lambda: workspace.logged("run_failed"), "the run fails", PATIENCE_S)
    assert failed["severity"] == "ERROR"
    assert re.search("killed.*memory ran out|MemoryError", failed["reason"])
    workspace.drop("churn_data_2025_05.csv", "a,Churn\nplain,1\n")
    wait_until(lambda: workspace.logged("candidate_rejected"), "the next drop is decided on", PATIENCE_S)
    assert daemon.poll() is None
    assert ended(workspace)
    assert [run["state"] for run in workspace.status()["runs"]] == ["FAILED", "REJECTED"]
    assert workspace.processes() == []
