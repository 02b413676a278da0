import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.integration.local.traces import Make, alive_in
from tests.integration.orchestrator_contract import LONG_S, RUN, Probe, a_request, did, eventually, outcome
from trainer_daemon.adapters.local.orchestrator import LocalOrchestrator
from trainer_daemon.adapters.local.processes import MARKER
from trainer_daemon.errors import TemporaryError
from trainer_daemon.policy.observations import Phase

DAEMON = """
import sys
from pathlib import Path
from trainer_daemon.adapters.local.orchestrator import LocalOrchestrator
from trainer_daemon.ports import RunRequest
workspace, compiled, out = sys.argv[1:]
orchestrator = LocalOrchestrator(workspace=Path(workspace), compiled=lambda name: Path(compiled) / f"{name}.yaml")
parameters = {"out": out, "action": "wait"}
orchestrator.submit(RunRequest(name="churn-2025-03-abc-1", pipeline="probe", parameters=parameters, timeout_s=600))
print("submitted", flush=True)
sys.stdin.read()
"""


def test_own_killed_run_fails_and_is_executed_once_when_submitted_again(make: Make, probe: Probe) -> None:
    """The server ends its step, the daemon that started it says so; submitting it again executes it."""
    adapter = make()
    adapter.submit(a_request(probe, action="sleep stubbornly", seconds=LONG_S))
    orphan = probe.started()
    _kill_leader(adapter)
    eventually(lambda: probe.ended(orphan))
    seen = adapter.observe([RUN])[RUN]
    assert seen.phase is Phase.FAILED
    assert seen.reason.startswith("killed by signal 9 (SIGKILL): probably memory ran out")
    adapter.submit(a_request(probe))
    assert outcome(adapter, RUN).phase is Phase.SUCCEEDED
    assert len(probe.seen()) == 2


def test_step_that_outlives_whoever_started_it_is_ended(make: Make, probe: Probe) -> None:
    """A step whose run and server were both killed is still known by what it has open."""
    adapter = make()
    adapter.submit(a_request(probe, action="sleep stubbornly", seconds=LONG_S))
    orphan = probe.started()
    server = adapter._standby._server
    assert server is not None
    server.process.kill()
    server.process.wait()
    _kill_leader(adapter)
    assert psutil.pid_exists(orphan)
    assert outcome(adapter, RUN).phase is Phase.VANISHED
    assert probe.ended(orphan)


def test_adopted_killed_run_vanishes_with_its_steps(make: Make, probe: Probe) -> None:
    """A run of an earlier daemon that was killed is VANISHED, and nothing of it works on."""
    first, second = make(), make()
    first.submit(a_request(probe, action="sleep", seconds=LONG_S))
    orphan = probe.started()
    _kill_leader(first)
    assert second.observe([RUN])[RUN].phase is Phase.VANISHED
    assert probe.ended(orphan)


def test_resubmitted_run_ends_orphans_that_nobody_looked_at(make: Make, probe: Probe) -> None:
    """Submitting without a look before it ends the killed run's step before the new one starts."""
    first, second = make(), make()
    first.submit(a_request(probe, action="sleep stubbornly", seconds=LONG_S))
    orphan = probe.started()
    _kill_leader(first)
    second.submit(a_request(probe))
    assert probe.ended(orphan)
    assert outcome(second, RUN).phase is Phase.SUCCEEDED


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_run_outlives_the_daemon(number: signal.Signals, make: Make, workspace: Path, compiled: Path, probe: Probe) -> None:
    """The death of the daemon and its process group does not touch a run; the next daemon finds and adopts it."""
    command = [sys.executable, "-c", DAEMON, str(workspace), str(compiled), str(probe.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as daemon:
        assert daemon.stdout is not None
        assert daemon.stdout.readline() == b"submitted\n"
        os.killpg(daemon.pid, number)
    adapter = make()
    assert adapter.observe([RUN])[RUN].phase is Phase.RUNNING
    adapter.submit(a_request(probe, action="wait"))
    probe.release()
    assert outcome(adapter, RUN).phase is Phase.SUCCEEDED
    assert len(probe.seen()) == 1
    eventually(lambda: not alive_in(workspace) and not _runners_of(daemon.pid))


def test_step_does_not_hold_the_lock(make: Make, workspace: Path, probe: Probe) -> None:
    """An orphaned step must not look like a live run."""
    adapter = make()
    adapter.submit(a_request(probe, action="sleep", seconds=LONG_S))
    step = psutil.Process(probe.started())
    assert str(workspace / "runs" / RUN / "lock") not in [file.path for file in step.open_files()]
    adapter.cancel(RUN)


def test_hung_run_is_ended_by_the_look(make: Make, probe: Probe) -> None:
    """A run whose own timer does not work any more is ended by the daemon, which measures by its own clock."""
    now = [0.0]
    adapter = make(clock=lambda: now[0], grace_s=0.5)
    adapter.submit(a_request(probe, action="sleep", seconds=LONG_S, timeout_s=50))
    step = probe.started()
    _leader(adapter).suspend()
    now[0] = 64.0
    assert adapter.observe([RUN])[RUN].phase is Phase.RUNNING
    now[0] = 66.0
    eventually(lambda: did(adapter.observe, [RUN]))
    seen = adapter.observe([RUN])[RUN]
    assert seen.phase is Phase.FAILED
    assert seen.reason.startswith("timed out after 50 s")
    assert probe.ended(step)


@pytest.mark.parametrize("survives", [True, False])
def test_run_on_its_way_to_the_child_is_live(*, survives: bool, make: Make, probe: Probe) -> None:
    """While the server has not yet taken the run nobody else can; when it dies before it has, the run is free again."""
    adapter, other = make(), make()
    adapter.warm()
    waiting = adapter._standby._server
    assert waiting is not None
    os.kill(waiting.process.pid, signal.SIGSTOP)
    adapter.submit(a_request(probe))
    other.submit(a_request(probe))
    assert other.observe([RUN])[RUN].phase is Phase.RUNNING
    if survives:
        os.kill(waiting.process.pid, signal.SIGCONT)
    else:
        waiting.process.kill()
        waiting.process.wait()
        assert other.observe([RUN])[RUN].phase is Phase.VANISHED
        other.submit(a_request(probe))
    assert outcome(other, RUN).phase is Phase.SUCCEEDED
    assert len(probe.seen()) == 1


def test_killed_server_is_replaced(make: Make, probe: Probe) -> None:
    """A run does not suffer when the process it is to be forked from was killed meanwhile."""
    adapter = make()
    adapter.warm()
    waiting = adapter._standby._server
    assert waiting is not None
    waiting.process.kill()
    waiting.process.wait()
    adapter.submit(a_request(probe))
    assert outcome(adapter, RUN).phase is Phase.SUCCEEDED


def test_killed_server_takes_no_further_run(make: Make, probe: Probe) -> None:
    """Runs that were forked from it go on, and the next one does not wait for their end."""
    adapter = make()
    adapter.submit(a_request(probe, action="sleep", seconds=LONG_S))
    probe.started()
    server = adapter._standby._server
    assert server is not None
    server.process.kill()
    server.process.wait()
    adapter.submit(a_request(probe, name="another"))
    assert outcome(adapter, "another").phase is Phase.SUCCEEDED
    assert adapter.observe([RUN])[RUN].phase is Phase.RUNNING
    adapter.cancel(RUN)


def test_run_that_nobody_begins_can_be_cancelled(make: Make, probe: Probe) -> None:
    """Also when the process that it was to be forked from hangs; the next run gets another one."""
    adapter = make(grace_s=0.5)
    adapter.warm()
    server = adapter._standby._server
    assert server is not None
    os.kill(server.process.pid, signal.SIGSTOP)
    adapter.submit(a_request(probe, action="sleep", seconds=LONG_S))
    eventually(lambda: did(adapter.cancel, RUN))
    assert adapter.observe([RUN])[RUN].phase is Phase.CANCELED
    adapter.submit(a_request(probe, name="another"))
    assert outcome(adapter, "another").phase is Phase.SUCCEEDED
    assert len(probe.seen()) == 1


def test_server_that_ends_at_once_fails_the_run(make: Make, probe: Probe) -> None:
    """Started again and again, such a run would never come to an end."""
    adapter = make()
    adapter._standby._entry_point = "no_such_module"
    adapter.submit(a_request(probe))
    seen = outcome(adapter, RUN)
    assert (seen.phase, seen.reason[:53]) == (Phase.FAILED, "the process that runs are forked from ended with code")


def test_steps_of_another_workspace_are_left_alone(make: Make, tmp_path: Path, probe: Probe) -> None:
    """A step of a run of the same name in another workspace is not ended."""
    with _stranger({"TRAINER_RUN": RUN, MARKER: str(tmp_path / "elsewhere" / "runs" / RUN)}) as stranger:
        adapter = make()
        adapter.submit(a_request(probe, action="sleep", seconds=LONG_S))
        probe.started()
        _kill_leader(adapter)
        adapter.cancel(RUN)
        assert adapter.observe([RUN])[RUN].phase is Phase.CANCELED
        assert stranger.poll() is None


def test_reused_process_id_is_not_signalled(make: Make, workspace: Path, probe: Probe) -> None:
    """A process that does not hold the run's lock is not the run's, whatever the file says."""
    adapter = make(grace_s=0.5)
    adapter.submit(a_request(probe, action="sleep", seconds=LONG_S))
    probe.started()
    pid = workspace / "runs" / RUN / "pid"
    written = pid.read_text()
    with _stranger({}) as stranger:
        pid.write_text(str(stranger.pid))
        with pytest.raises(TemporaryError, match=f"run {RUN} does not end"):
            adapter.cancel(RUN)
        assert stranger.poll() is None
    pid.write_text(written)
    eventually(lambda: did(adapter.cancel, RUN))
    assert adapter.observe([RUN])[RUN].phase is Phase.CANCELED


@contextmanager
def _stranger(environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is not the run's."""
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env={**os.environ, **environment}, start_new_session=True) as process:
        yield process
        process.kill()


def _kill_leader(adapter: LocalOrchestrator) -> None:
    """Kill the run's process alone, as the kernel does when memory runs out."""
    _leader(adapter).kill()
    adapter._own[RUN].result(timeout=240)


def _leader(adapter: LocalOrchestrator) -> psutil.Process:
    """The run's process."""
    leader = adapter._leader(adapter._folder(RUN))
    assert leader is not None
    return leader


def _runners_of(pid: int) -> list[psutil.Process]:
    """Children of a process, as far as it still has any."""
    return psutil.Process(pid).children() if psutil.pid_exists(pid) else []
