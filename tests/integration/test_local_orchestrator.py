import os
import queue
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.integration.orchestrator_contract import (
    Connect,
    OrchestratorContract,
    Probe,
    a_request,
    compile_probes,
    eventually,
    outcome,
)
from trainer_daemon.adapters.local.orchestrator import LocalOrchestrator
from trainer_daemon.adapters.local.processes import MARKER
from trainer_daemon.errors import PermanentError, TemporaryError
from trainer_daemon.policy.observations import Phase
from trainer_daemon.ports import Orchestrator

RUN = "churn-2025-03-abc-1"
DAEMON = """
import sys
from pathlib import Path
from trainer_daemon.adapters.local.orchestrator import LocalOrchestrator
from trainer_daemon.ports import RunRequest
workspace, compiled, out, seconds = sys.argv[1:]
orchestrator = LocalOrchestrator(workspace=Path(workspace), compiled=lambda name: Path(compiled) / f"{name}.yaml")
parameters = {"out": out, "action": "sleep", "seconds": float(seconds)}
orchestrator.submit(RunRequest(name="churn-2025-03-abc-1", pipeline="probe", parameters=parameters, timeout_s=60))
print("submitted", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the compiled test pipelines."""
    return compile_probes(tmp_path_factory.mktemp("compiled"))


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    """A workspace; whatever a failing test leaves running in it is killed."""
    folder = tmp_path / "it's a workspace"
    yield folder
    for process in _alive_in(folder):
        process.kill()


@pytest.fixture
def make(workspace: Path, compiled: Path) -> Iterator[Callable[..., LocalOrchestrator]]:
    """Make adapters of the one workspace; all are closed at the end."""
    made: list[LocalOrchestrator] = []

    def _make(**changes: object) -> LocalOrchestrator:
        settings: dict[str, object] = {"workspace": workspace, "compiled": lambda name: compiled / f"{name}.yaml", "idle_s": 5.0}
        made.append(LocalOrchestrator(**(settings | changes)))  # type: ignore[arg-type]
        return made[-1]

    yield _make
    for adapter in made:
        adapter.close()
        for process in adapter._own.values():
            process.kill()  # only what a failing test has left
    eventually(lambda: all(process.poll() is not None for adapter in made for process in adapter._own.values()))


@pytest.fixture
def probe(tmp_path: Path) -> Probe:
    """Where the steps report."""
    return Probe(path=tmp_path / "probe.jsonl")


class TestLocalOrchestrator(OrchestratorContract):
    """The contract, on this machine."""

    @pytest.fixture
    def connect(self, make: Callable[..., LocalOrchestrator]) -> Connect:
        """A restarted daemon is one more adapter of the workspace."""
        return make


def test_own_killed_run_fails_and_is_executed_once_when_submitted_again(
    make: Callable[..., LocalOrchestrator], probe: Probe
) -> None:
    """The daemon that started a killed run says so; submitting it again ends the orphaned step first."""
    adapter = make()
    adapter.submit(a_request(probe, action="sleep stubbornly", seconds=60))
    orphan = probe.started()
    _kill_leader(adapter)
    seen = adapter.observe([RUN])[RUN]
    assert seen.phase is Phase.FAILED
    assert seen.reason.startswith("killed by signal 9 (SIGKILL): probably memory ran out")
    assert probe.ended(orphan)
    adapter.submit(a_request(probe))
    assert outcome(adapter, RUN).phase is Phase.SUCCEEDED
    assert len(probe.seen()) == 2


def test_adopted_killed_run_vanishes_with_its_steps(make: Callable[..., LocalOrchestrator], probe: Probe) -> None:
    """A run of an earlier daemon that was killed is VANISHED, and nothing of it works on."""
    first, second = make(), make()
    first.submit(a_request(probe, action="sleep", seconds=60))
    orphan = probe.started()
    _kill_leader(first)
    assert second.observe([RUN])[RUN].phase is Phase.VANISHED
    assert probe.ended(orphan)


def test_resubmitted_run_ends_orphans_that_nobody_looked_at(make: Callable[..., LocalOrchestrator], probe: Probe) -> None:
    """Submitting without a look before it ends the killed run's step before the new one starts."""
    first, second = make(), make()
    first.submit(a_request(probe, action="sleep stubbornly", seconds=60))
    orphan = probe.started()
    _kill_leader(first)
    second.submit(a_request(probe))
    assert probe.ended(orphan)
    assert outcome(second, RUN).phase is Phase.SUCCEEDED


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_run_outlives_the_daemon(
    number: signal.Signals, make: Callable[..., LocalOrchestrator], workspace: Path, compiled: Path, probe: Probe
) -> None:
    """The death of the daemon and its process group does not touch a run; the next daemon finds and adopts it."""
    command = [sys.executable, "-c", DAEMON, str(workspace), str(compiled), str(probe.path), "1.5"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as daemon:
        assert daemon.stdout is not None
        assert daemon.stdout.readline() == b"submitted\n"
        os.killpg(daemon.pid, number)
    adapter = make()
    assert adapter.observe([RUN])[RUN].phase is Phase.RUNNING
    adapter.submit(a_request(probe, action="sleep", seconds=1.5))
    assert outcome(adapter, RUN).phase is Phase.SUCCEEDED
    assert len(probe.seen()) == 1
    eventually(lambda: not _alive_in(workspace) and not _runners_of(daemon.pid))


def test_step_does_not_hold_the_lock(make: Callable[..., LocalOrchestrator], workspace: Path, probe: Probe) -> None:
    """An orphaned step must not look like a live run."""
    adapter = make()
    adapter.submit(a_request(probe, action="sleep", seconds=60))
    step = psutil.Process(probe.started())
    assert str(workspace / "runs" / RUN / "lock") not in [file.path for file in step.open_files()]
    adapter.cancel(RUN)


def test_hung_run_is_ended_by_the_look(make: Callable[..., LocalOrchestrator], probe: Probe) -> None:
    """A run whose own timer does not work any more is ended by the daemon, which measures by its own clock."""
    now = [0.0]
    adapter = make(clock=lambda: now[0], grace_s=0.5)
    adapter.submit(a_request(probe, action="sleep", seconds=60, timeout_s=50))
    step = probe.started()
    os.kill(adapter._own[RUN].pid, signal.SIGSTOP)
    now[0] = 64.0
    assert adapter.observe([RUN])[RUN].phase is Phase.RUNNING
    now[0] = 66.0
    adapter.observe([RUN])
    seen = adapter.observe([RUN])[RUN]
    assert seen.phase is Phase.FAILED
    assert seen.reason.startswith("timed out after 50 s")
    assert probe.ended(step)


def test_killed_step_is_explained(make: Callable[..., LocalOrchestrator], probe: Probe) -> None:
    """A step that the kernel killed leaves no traceback; the reason says what is likely."""
    adapter = make()
    adapter.submit(a_request(probe, action="vanish"))
    seen = outcome(adapter, RUN)
    assert (seen.phase, seen.reason) == (Phase.FAILED, "step probe failed: it was killed, probably because memory ran out")


def test_silent_failure_quotes_the_last_line(make: Callable[..., LocalOrchestrator], probe: Probe) -> None:
    """Without a traceback the last thing the step said is the reason."""
    adapter = make()
    adapter.submit(a_request(probe, action="exit"))
    assert outcome(adapter, RUN).reason == "step probe failed: the step has begun"


def test_second_step_is_named(make: Callable[..., LocalOrchestrator], probe: Probe) -> None:
    """Of two steps the reason names the one that failed."""
    adapter = make()
    adapter.submit(a_request(probe, pipeline="two_steps", action="fail", word="no champion"))
    assert outcome(adapter, RUN).reason == "step probe-2 failed: ValueError: no champion"


def test_log_is_readable_while_the_step_works(make: Callable[..., LocalOrchestrator], workspace: Path, probe: Probe) -> None:
    """The log shows a step's line before the step ends, without colour codes."""
    adapter = make()
    adapter.submit(a_request(probe, action="sleep", seconds=60))
    log = workspace / "runs" / RUN / "log.txt"
    eventually(lambda: log.exists() and "the step has begun\n" in log.read_text(encoding="utf-8"))
    assert adapter.observe([RUN])[RUN].phase is Phase.RUNNING
    assert "\x1b" not in log.read_text(encoding="utf-8")
    adapter.cancel(RUN)


def test_missing_parameter_is_explained(make: Callable[..., LocalOrchestrator], probe: Probe) -> None:
    """A pipeline that cannot even start fails with a sentence that says what is missing."""
    adapter = make()
    adapter.submit(a_request(probe, pipeline="two_steps"))
    seen = outcome(adapter, RUN)
    assert seen.phase is Phase.FAILED
    assert "the pipeline requires parameter action, which was not given" in seen.reason


def test_unknown_pipeline_is_refused(make: Callable[..., LocalOrchestrator], workspace: Path, probe: Probe) -> None:
    """A pipeline without a compiled file is refused before anything is claimed."""
    with pytest.raises(PermanentError, match="pipeline 'nonsense' is not compiled: there is no file"):
        make().submit(a_request(probe, pipeline="nonsense"))
    assert not (workspace / "runs").exists()


def test_name_cannot_leave_the_workspace(make: Callable[..., LocalOrchestrator], probe: Probe) -> None:
    """A run's name is the name of a folder and nothing more."""
    with pytest.raises(PermanentError, match="cannot be the name of a run"):
        make().submit(a_request(probe, name="../elsewhere"))


def test_parameters_that_are_not_json_are_refused(make: Callable[..., LocalOrchestrator], probe: Probe) -> None:
    """A value that cannot be written down is a permanent error and leaves no run."""
    adapter = make()
    with pytest.raises(PermanentError, match="cannot be written as JSON"):
        adapter.submit(a_request(probe, word=object()))
    assert adapter.observe([RUN])[RUN].phase is Phase.VANISHED


def test_unwritable_workspace_is_temporary(tmp_path: Path, make: Callable[..., LocalOrchestrator], probe: Probe) -> None:
    """What a person can repair is tried again."""
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(TemporaryError, match=f"cannot start run {RUN}"):
        make(workspace=tmp_path / "file").submit(a_request(probe))


def test_waiting_child_takes_the_next_run(make: Callable[..., LocalOrchestrator], probe: Probe) -> None:
    """The child that was warmed up executes the run."""
    adapter = make()
    adapter.warm()
    waiting = adapter._standby._waiting
    assert waiting is not None
    adapter.submit(a_request(probe))
    assert adapter._own[RUN].pid == waiting.process.pid
    assert outcome(adapter, RUN).phase is Phase.SUCCEEDED


def test_killed_waiting_child_is_replaced(make: Callable[..., LocalOrchestrator], probe: Probe) -> None:
    """A run does not suffer when the waiting child was killed meanwhile."""
    adapter = make()
    adapter.warm()
    waiting = adapter._standby._waiting
    assert waiting is not None
    waiting.process.kill()
    waiting.process.wait()
    adapter.submit(a_request(probe))
    assert outcome(adapter, RUN).phase is Phase.SUCCEEDED


@pytest.mark.parametrize("survives", [True, False])
def test_run_on_its_way_to_the_child_is_live(*, survives: bool, make: Callable[..., LocalOrchestrator], probe: Probe) -> None:
    """While the child has not yet taken the run nobody else can; when the child dies before it has, the run is free again."""
    adapter, other = make(), make()
    adapter.warm()
    waiting = adapter._standby._waiting
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


def test_idle_daemon_has_no_child(make: Callable[..., LocalOrchestrator], probe: Probe) -> None:
    """Some seconds after the last run the waiting child is let go; not before the run has ended."""
    adapter = make(idle_s=0.3)
    adapter.submit(a_request(probe, action="sleep", seconds=1.0))
    waiting = adapter._standby._waiting
    assert waiting is not None
    assert outcome(adapter, RUN).phase is Phase.SUCCEEDED
    assert waiting.process.poll() is None, "it stays while a run is executed"
    eventually(lambda: waiting.process.poll() is not None)


def test_end_of_a_run_is_told(make: Callable[..., LocalOrchestrator], probe: Probe) -> None:
    """The daemon need not poll for the end of a run that it started."""
    told: queue.Queue[str] = queue.Queue()
    adapter = make(on_end=told.put)
    adapter.submit(a_request(probe))
    assert told.get(timeout=30) == RUN
    assert adapter.observe([RUN])[RUN].phase is Phase.SUCCEEDED


def test_only_the_newest_runs_keep_their_artifacts(make: Callable[..., LocalOrchestrator], workspace: Path, probe: Probe) -> None:
    """Old runs keep log, request and result, and lose their artifacts and temporary files."""
    for index in range(25):
        (workspace / "runs" / f"old-{index:02}" / "artifacts").mkdir(parents=True)
        (workspace / "runs" / f"old-{index:02}" / "log.txt").write_text("log")
        os.utime(workspace / "runs" / f"old-{index:02}" / "artifacts", (index, index))
    adapter = make()
    adapter.submit(a_request(probe))
    runs = workspace / "runs"
    eventually(lambda: len(list(runs.glob("*/artifacts"))) == 21)
    assert {path.parent.name for path in runs.glob("*/artifacts")} == {RUN, *(f"old-{index:02}" for index in range(5, 25))}
    assert len(list(runs.glob("old-*/log.txt"))) == 25
    assert not (runs / RUN / "tmp").exists()


def test_steps_of_another_workspace_are_left_alone(make: Callable[..., LocalOrchestrator], tmp_path: Path, probe: Probe) -> None:
    """A step of a run of the same name in another workspace is not ended."""
    with _stranger({"TRAINER_RUN": RUN, MARKER: str(tmp_path / "elsewhere" / "runs" / RUN)}) as stranger:
        adapter = make()
        adapter.submit(a_request(probe, action="sleep", seconds=60))
        probe.started()
        _kill_leader(adapter)
        adapter.cancel(RUN)
        assert adapter.observe([RUN])[RUN].phase is Phase.CANCELED
        assert stranger.poll() is None


def test_reused_process_id_is_not_signalled(make: Callable[..., LocalOrchestrator], workspace: Path, probe: Probe) -> None:
    """A process that does not hold the run's lock is not the run's, whatever the file says."""
    adapter = make(grace_s=0.5)
    adapter.submit(a_request(probe, action="sleep", seconds=60))
    probe.started()
    pid = workspace / "runs" / RUN / "pid"
    written = pid.read_text()
    with _stranger({}) as stranger:
        pid.write_text(str(stranger.pid))
        with pytest.raises(TemporaryError, match=f"run {RUN} does not end"):
            adapter.cancel(RUN)
        assert stranger.poll() is None
    pid.write_text(written)
    adapter.cancel(RUN)
    assert adapter.observe([RUN])[RUN].phase is Phase.CANCELED


@contextmanager
def _stranger(environment: dict[str, str]) -> "Iterator[subprocess.Popen[bytes]]":
    """A process that is not the run's."""
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env={**os.environ, **environment}, start_new_session=True) as process:
        yield process
        process.kill()


def _kill_leader(adapter: LocalOrchestrator) -> None:
    """Kill the run's process alone, as the kernel does when memory runs out."""
    process = adapter._own[RUN]
    process.kill()
    process.wait()


def _alive_in(workspace: Path) -> list[psutil.Process]:
    """Steps of runs in the workspace."""
    return [process for process in psutil.process_iter() if _mark(process).startswith(str(workspace))]


def _mark(process: psutil.Process) -> str:
    try:
        return str(process.environ().get(MARKER, ""))
    except psutil.Error:
        return ""


def _runners_of(pid: int) -> list[psutil.Process]:
    """Children of a process, as far as it still has any."""
    return psutil.Process(pid).children() if psutil.pid_exists(pid) else []


def _conforms(adapter: LocalOrchestrator) -> Orchestrator:
    """The type checker's proof that the adapter plays the role."""
    return adapter
