import os
import queue
import signal
from pathlib import Path

import psutil
import pytest

from tests.acceptance.harness import pause
from tests.integration.local.traces import Make
from tests.integration.orchestrator_contract import (
    LONG_S,
    RUN,
    Connect,
    OrchestratorContract,
    Probe,
    a_request,
    eventually,
    outcome,
)
from trainer_daemon.adapters.local.orchestrator import LocalOrchestrator
from trainer_daemon.errors import PermanentError, TemporaryError
from trainer_daemon.policy.observations import Phase
from trainer_daemon.ports import Orchestrator


class TestLocalOrchestrator(OrchestratorContract):
    """The contract, on this machine."""

    @pytest.fixture
    def connect(self, make: Make) -> Connect:
        """A restarted daemon is one more adapter of the workspace."""
        return make


def test_failure_says_what_is_known_of_it(make: Make, probe: Probe) -> None:
    """What was raised, and by which of two steps; a silent step's last line; of a killed one what is likely."""
    adapter = make()
    failures = {
        "vanish": (a_request(probe, "a", action="vanish"), "step probe failed: it was killed, probably because memory ran out"),
        "exit": (a_request(probe, "b", action="exit"), "step probe failed: the step has begun"),
        "fail": (
            a_request(probe, "c", action="fail", word="column 'Tenure' is empty"),
            "step probe failed: ValueError: column 'Tenure' is empty",
        ),
        "fail in the second step": (
            a_request(probe, "d", pipeline="two_steps", action="fail", word="no champion"),
            "step probe-2 failed: ValueError: no champion",
        ),
    }
    for request, _ in failures.values():
        adapter.submit(request)
    seen = {how: outcome(adapter, request.name) for how, (request, _) in failures.items()}
    assert {how: each.reason for how, each in seen.items()} == {how: reason for how, (_, reason) in failures.items()}
    assert {each.phase for each in seen.values()} == {Phase.FAILED}


def test_log_is_readable_while_the_step_works(make: Make, workspace: Path, probe: Probe) -> None:
    """The log shows a step's line before the step ends, without colour codes; and whoever looks is told which step it is."""
    adapter = make()
    adapter.submit(a_request(probe, action="sleep", seconds=LONG_S))
    log = workspace / "runs" / RUN / "log.txt"
    eventually(lambda: log.exists() and "the step has begun\n" in log.read_text(encoding="utf-8"))
    seen = adapter.observe([RUN])[RUN]
    assert (seen.phase, seen.step) == (Phase.RUNNING, "probe")
    assert "\x1b" not in log.read_text(encoding="utf-8")
    adapter.cancel(RUN)


def test_missing_parameter_is_explained(make: Make, probe: Probe) -> None:
    """A pipeline that cannot even start fails with a sentence that says what is missing."""
    adapter = make()
    adapter.submit(a_request(probe, pipeline="two_steps"))
    seen = outcome(adapter, RUN)
    assert seen.phase is Phase.FAILED
    assert "the pipeline requires parameter action, which was not given" in seen.reason


def test_unknown_pipeline_is_refused(make: Make, workspace: Path, probe: Probe) -> None:
    """A pipeline without a compiled file is refused before anything is claimed."""
    with pytest.raises(PermanentError, match="pipeline 'nonsense' is not compiled: there is no file"):
        make().submit(a_request(probe, pipeline="nonsense"))
    assert not (workspace / "runs").exists()


def test_name_cannot_leave_the_workspace(make: Make, probe: Probe) -> None:
    """A run's name is the name of a folder and nothing more."""
    with pytest.raises(PermanentError, match="cannot be the name of a run"):
        make().submit(a_request(probe, name="../elsewhere"))


def test_parameters_that_are_not_json_are_refused(make: Make, probe: Probe) -> None:
    """A value that cannot be written down is a permanent error and leaves no run."""
    adapter = make()
    with pytest.raises(PermanentError, match="cannot be written as JSON"):
        adapter.submit(a_request(probe, word=object()))
    assert adapter.observe([RUN])[RUN].phase is Phase.VANISHED


def test_unwritable_workspace_is_temporary(tmp_path: Path, make: Make, probe: Probe) -> None:
    """What a person can repair is tried again."""
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(TemporaryError, match=f"cannot start run {RUN}"):
        make(workspace=tmp_path / "file").submit(a_request(probe))


def test_runs_are_forked_from_one_process(make: Make, probe: Probe) -> None:
    """What a run imports is there already for the next one; each run and each step is a session of its own."""
    adapter = make()
    for number in ("1", "2"):
        adapter.submit(a_request(probe, name=RUN + number, action="wait"))
    server = adapter._standby._server
    assert server is not None
    eventually(lambda: len(probe.seen()) == 2)
    forked = {child.pid for child in psutil.Process(server.process.pid).children()}
    assert {os.getsid(child) for child in forked} == forked
    steps = {int(step["pid"]) for step in probe.seen()}
    assert forked - steps == {adapter._folder(RUN + number).pid() for number in ("1", "2")}
    probe.release()
    assert [outcome(adapter, RUN + number).phase for number in ("1", "2")] == [Phase.SUCCEEDED] * 2


def test_runs_need_not_be_forked(make: Make, probe: Probe) -> None:
    """Where libraries do not survive a fork, each run is a new interpreter, and its death is told all the same."""
    adapter = make(forks=False)
    adapter.submit(a_request(probe))
    assert outcome(adapter, RUN).phase is Phase.SUCCEEDED
    adapter.submit(a_request(probe, name=RUN + "-2", action="sleep", seconds=LONG_S))
    folder = adapter._folder(RUN + "-2")
    eventually(lambda: adapter._leader(folder) is not None)
    os.kill(folder.pid() or 0, signal.SIGKILL)
    assert outcome(adapter, RUN + "-2").reason.startswith("killed by signal 9 (SIGKILL)")


def test_idle_daemon_has_no_child(make: Make, probe: Probe) -> None:
    """Some seconds after the last run the process that they are forked from is let go, not before the run has ended."""
    adapter = make(idle_s=0.3)
    adapter.submit(a_request(probe, action="wait"))
    waiting = adapter._standby._server
    assert waiting is not None
    probe.started()
    pause(1.0)
    assert waiting.process.poll() is None, "it stays while a run is executed"
    probe.release()
    assert outcome(adapter, RUN).phase is Phase.SUCCEEDED
    eventually(lambda: waiting.process.poll() is not None)


def test_end_of_a_run_is_told(make: Make, probe: Probe) -> None:
    """The daemon need not poll for the end of a run that it started."""
    told: queue.Queue[str] = queue.Queue()
    adapter = make(on_end=told.put)
    adapter.submit(a_request(probe))
    assert told.get(timeout=240) == RUN
    assert adapter.observe([RUN])[RUN].phase is Phase.SUCCEEDED


def test_only_the_newest_runs_keep_their_artifacts(make: Make, workspace: Path, probe: Probe) -> None:
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


def _conforms(adapter: LocalOrchestrator) -> Orchestrator:
    """The type checker's proof that the adapter plays the role."""
    return adapter
