"""Two daemons on one ledger on PostgreSQL: one works, the other follows within seconds, and nothing is done twice."""

import signal
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from tests.acceptance.harness import Workspace, wait_until
from tests.acceptance.replicas import TAKEOVER_S_MAX, WORK_S, Installation, holds, installation, moment, signalled
from tests.emulators.postgres import PostgresServer
from tests.emulators.proxy import Proxy
from trainer_daemon.policy.leases import LEASE_S

pytestmark = pytest.mark.timeout(900)
assert installation  # pytest finds it by its name


def test_daemon_that_is_killed_is_followed_within_seconds_and_one_that_stops_at_once(installation: Installation) -> None:
    """Both have recorded the drops; every drop has exactly one run."""
    first = installation.daemon()
    wait_until(lambda: holds(first), "the first daemon holds the lease")
    second = installation.daemon()
    for month in (1, 2, 3):
        installation.upload(month)
    wait_until(lambda: first.logged("run_submitted"), "work has begun", WORK_S)
    signalled(first, signal.SIGKILL)
    killed_at = time.time()
    wait_until(lambda: holds(second), "the second daemon takes over", 60)
    assert moment(second.logged("lease_acquired")[0]) - killed_at < TAKEOVER_S_MAX
    installation.wait_until_decided(3)

    third = installation.daemon()
    assert not holds(third)
    signalled(second, signal.SIGTERM)
    assert second.children[-1].wait(30) == 0
    wait_until(lambda: holds(third), "the third daemon takes over", 30)
    assert moment(third.logged("lease_acquired")[0]) - moment(second.logged("lease_released")[0]) < LEASE_S / 2
    assert len(third.logged("lease_acquired")) == 1


def test_daemon_that_cannot_reach_the_ledger_stops_before_the_other_one_begins(
    installation: Installation, postgres_server: PostgresServer
) -> None:
    """And does not begin again when it can."""
    with closing(Proxy(postgres_server.port)) as proxy:
        database = installation.url.rpartition("/")[2]
        cut_off = installation.daemon(postgres_server.url(database, port=proxy.port))
        wait_until(lambda: holds(cut_off), "the first daemon holds the lease")
        other = installation.daemon()
        installation.upload(1)
        installation.wait_until_decided(1)
        proxy.cut()
        installation.upload(2)
        wait_until(lambda: holds(other), "the other daemon takes over", 60)
        (lost,) = cut_off.logged("lease_lost")
        assert moment(lost) < moment(other.logged("lease_acquired")[0])
        installation.wait_until_decided(2)
        proxy.mend()
        installation.upload(3)
        installation.wait_until_decided(3)
        wait_until(lambda: cut_off.logged("event_recorded")[-1:] or other.logged("event_recorded")[-1:], "it is recorded")
        assert not holds(cut_off)
        assert len(cut_off.logged("run_submitted")) == 1
        assert cut_off.children[-1].poll() is None


def test_daemon_that_was_stopped_for_longer_than_its_lease_does_nothing_when_it_goes_on(installation: Installation) -> None:
    """Whatever it was about to do, the other one has done."""
    stopped = installation.daemon()
    wait_until(lambda: holds(stopped), "the first daemon holds the lease")
    other = installation.daemon()
    installation.upload(1)
    wait_until(lambda: stopped.logged("run_submitted"), "work has begun", WORK_S)
    signalled(stopped, signal.SIGSTOP)
    wait_until(lambda: holds(other), "the other daemon takes over", 60)
    installation.upload(2)
    installation.wait_until_decided(2)
    before = len(stopped.events())
    signalled(stopped, signal.SIGCONT)
    wait_until(lambda: stopped.logged("lease_lost"), "it notices")
    installation.upload(3)
    installation.wait_until_decided(3)
    told = {line["message"] for line in stopped.events()[before:]}
    assert told.isdisjoint({"run_submitted", "run_adopted", "run_trained", "candidate_rejected", "decision_recorded"})
    assert not holds(stopped)


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
            assert daemon.children[-1].wait(30) == 0
