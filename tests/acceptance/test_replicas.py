"""Two daemons on one ledger on PostgreSQL: one works, the other follows within seconds, and nothing is done twice."""

import signal
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from tests.acceptance.harness import Workspace, wait_until
from tests.acceptance.replicas import BUSY_S, TAKEOVER_S_MAX, WORK_S, Installation, holds, installation, moment, signalled
from tests.emulators.postgres import PostgresServer
from tests.emulators.proxy import Proxy
from trainer_daemon.policy.leases import LEASE_S, LOOK_S

pytestmark = pytest.mark.timeout(1800)
assert installation  # pytest finds it by its name


def test_one_daemon_works_and_the_other_follows(installation: Installation, postgres_server: PostgresServer) -> None:
    """Whatever became of the first: it was killed, it was stopped, it lost the ledger, it stood still; each drop has one run."""
    killed = installation.daemon()
    wait_until(lambda: holds(killed), "the first daemon holds the lease")
    stopped = installation.daemon()
    require_to_follow_within_seconds_of_a_kill(installation, killed, stopped)
    with closing(Proxy(postgres_server.port)) as proxy:
        cut_off = installation.daemon(postgres_server.url(installation.url.rpartition("/")[2], port=proxy.port))
        require_to_follow_at_once_after_a_stop(stopped, cut_off)
        still = installation.daemon()
        require_to_stop_before_the_other_one_begins(installation, proxy, cut_off, still)
        require_to_do_nothing_after_standing_still(installation, still, cut_off)


def require_to_follow_within_seconds_of_a_kill(installation: Installation, killed: Workspace, follower: Workspace) -> None:
    """Both have recorded the drops."""
    for month in (1, 2, 3):
        installation.upload(month)
    wait_until(lambda: killed.logged("run_submitted"), "work has begun", WORK_S)
    signalled(killed, signal.SIGKILL)
    killed_at = time.time()
    wait_until(lambda: holds(follower), "the second daemon takes over")
    assert LEASE_S + LOOK_S < TAKEOVER_S_MAX, "the rest is a transaction"
    assert moment(follower.logged("lease_acquired")[0]) - killed_at < TAKEOVER_S_MAX + BUSY_S
    installation.wait_until_decided(3)


def require_to_follow_at_once_after_a_stop(stopped: Workspace, follower: Workspace) -> None:
    """One that ends in order gives its lease back."""
    assert not holds(follower)
    signalled(stopped, signal.SIGTERM)
    assert stopped.children[-1].wait(240) == 0
    wait_until(lambda: holds(follower), "the third daemon takes over")
    assert moment(follower.logged("lease_acquired")[0]) - moment(stopped.logged("lease_released")[0]) < LEASE_S / 2 + BUSY_S
    assert len(follower.logged("lease_acquired")) == 1


def require_to_stop_before_the_other_one_begins(
    installation: Installation, proxy: Proxy, cut_off: Workspace, follower: Workspace
) -> None:
    """A daemon that cannot reach the ledger; it does not begin again when it can."""
    installation.upload(4)
    installation.wait_until_decided(4)
    proxy.cut()
    installation.upload(5)
    wait_until(lambda: holds(follower), "the fourth daemon takes over")
    (lost,) = wait_until(lambda: cut_off.logged("lease_lost"), "the third daemon says so")
    assert "the ledger has not renewed it" in lost["reason"], "it has stopped by itself, by its own clock"
    assert moment(lost) < moment(follower.logged("lease_acquired")[0]) + BUSY_S
    installation.wait_until_decided(5)
    proxy.mend()
    installation.upload(6)
    installation.wait_until_decided(6)
    assert not holds(cut_off)
    assert len(cut_off.logged("run_submitted")) == 1
    assert cut_off.children[-1].poll() is None


def require_to_do_nothing_after_standing_still(installation: Installation, still: Workspace, follower: Workspace) -> None:
    """For longer than its lease: whatever it was about to do, the other one has done."""
    submitted = len(still.logged("run_submitted"))
    installation.upload(7)
    wait_until(lambda: still.logged("run_submitted")[submitted:], "work has begun", WORK_S)
    signalled(still, signal.SIGSTOP)
    wait_until(lambda: holds(follower), "the third daemon takes over again")
    installation.upload(8)
    installation.wait_until_decided(8)
    before = len(still.events())
    signalled(still, signal.SIGCONT)
    wait_until(lambda: still.logged("lease_lost"), "it notices")
    installation.upload(9)
    installation.wait_until_decided(9)
    told = {line["message"] for line in still.events()[before:]}
    assert told.isdisjoint({"run_submitted", "run_adopted", "run_trained", "candidate_rejected", "decision_recorded"})
    assert not holds(still)


def has_said(daemon: Workspace, event: str, times: int) -> bool:
    """Whether the daemon has logged an event so often."""
    return len(daemon.logged(event)) >= times


def test_ledger_that_is_killed_and_comes_back_loses_nothing(tmp_path: Path, furniture: Path) -> None:
    """Twice, under a daemon at work, which needs no restart."""
    with closing(PostgresServer(tmp_path)) as server:
        server.start()
        with closing(Installation(tmp_path / "all", server.url(server.create()), furniture)) as alone:
            daemon = alone.daemon()
            for month in (1, 2, 3):
                alone.upload(month)
            for outage in (1, 2):
                wait_until(partial(has_said, daemon, "run_submitted", outage), "work goes on", WORK_S)
                told = len(daemon.logged("reconcile_deferred"))
                server.kill()
                wait_until(partial(has_said, daemon, "reconcile_deferred", told + 1), "it is told", WORK_S)
                server.start()
            alone.wait_until_decided(3)
            assert daemon.children[-1].poll() is None
            signalled(daemon, signal.SIGTERM)
            assert daemon.children[-1].wait(240) == 0
