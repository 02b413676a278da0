"""What every orchestrator adapter must do: subclass `OrchestratorContract` and provide the fixture `connect`."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from trainer_daemon.errors import TemporaryError
from trainer_daemon.policy.observations import Observation, Phase
from trainer_daemon.ports import Orchestrator, RunRequest

RUN = "churn-2025-03-abc-1"
DONE = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELED, Phase.VANISHED})
LONG_S = 600.0
"""Longer than any test takes, on any machine."""
T = TypeVar("T")
Connect = Callable[[], Orchestrator]


def eventually(look: Callable[[], T | None], *, within_s: float = 240.0) -> T:
    """Look again until there is something to see."""
    deadline = time.monotonic() + within_s
    while not (seen := look()):
        assert time.monotonic() < deadline, f"not within {within_s} s"
        threading.Event().wait(0.01)
    return seen


def did(act: Callable[[Any], object], what: object) -> bool:
    """Whether it could be done; a busy machine takes longer to end a process than an adapter is patient."""
    try:
        act(what)
    except TemporaryError:
        return False
    return True


def compile_probes(out: Path) -> None:
    """Compile the test pipelines in a child, since kfp changes the process that imports it."""
    subprocess.run([sys.executable, "-m", "tests.integration.orchestrator_pipelines", str(out)], check=True, timeout=600)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """The file that probe steps write to."""

    path: Path

    def seen(self) -> list[dict[str, Any]]:
        """One entry per execution of a step."""
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def started(self) -> int:
        """Wait for a step to begin; the process id of the newest."""
        return int(eventually(self.seen)[-1]["pid"])

    def release(self) -> None:
        """Let the steps go on whose action is `wait`."""
        Path(f"{self.path}.go").touch()

    def ended(self, pid: int) -> bool:
        """Whether the step's process is gone."""
        return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def a_request(probe: Probe, name: str = RUN, **changes: Any) -> RunRequest:  # noqa: ANN401 - test parameters
    """A request for the one-step pipeline, its parameters overridden."""
    fields: dict[str, Any] = {"pipeline": "probe", "timeout_s": LONG_S}
    fields |= {key: changes.pop(key) for key in ("pipeline", "timeout_s") if key in changes}
    parameters: Mapping[str, Any] = {"out": str(probe.path), **changes}
    return RunRequest(name=name, parameters=parameters, **fields)


def outcome(orchestrator: Orchestrator, name: str, *, within_s: float = 240.0) -> Observation:
    """Wait for the run to be over."""
    return eventually(lambda: _over(orchestrator.observe([name])[name]), within_s=within_s)


def _over(observation: Observation) -> Observation | None:
    return observation if observation.phase in DONE else None


class OrchestratorContract:
    """The contract of `ports.Orchestrator`, executed against a real one."""

    @pytest.fixture
    def connect(self) -> Connect:
        """Make one more adapter of the same orchestrator, as a restarted daemon would; override it."""
        raise NotImplementedError

    @pytest.fixture
    def orchestrator(self, connect: Connect) -> Orchestrator:
        """The daemon's adapter."""
        return connect()

    @pytest.fixture
    def probe(self, tmp_path: Path) -> Probe:
        """Where this test's steps report."""
        return Probe(path=tmp_path / "probe.jsonl")

    def test_submitted_run_succeeds(self, orchestrator: Orchestrator, probe: Probe) -> None:
        """A submitted run is executed once and then observed as succeeded."""
        submission = orchestrator.submit(a_request(probe))
        seen = outcome(orchestrator, RUN)
        assert (seen.phase, seen.run_id, len(probe.seen())) == (Phase.SUCCEEDED, submission.run_id, 1)
        assert not submission.is_adopted

    def test_unknown_run_is_vanished(self, orchestrator: Orchestrator) -> None:
        """A name that was never submitted is reported, not left out."""
        assert orchestrator.observe(["never-was"])["never-was"].phase is Phase.VANISHED

    def test_failure_says_which_step_and_why(self, orchestrator: Orchestrator, probe: Probe) -> None:
        """The reason names the step and goes on with what the orchestrator knows, without control codes."""
        orchestrator.submit(a_request(probe, action="fail", word="column 'Tenure' is empty"))
        seen = outcome(orchestrator, RUN)
        assert seen.phase is Phase.FAILED
        assert seen.reason.startswith("step probe failed: ")
        assert seen.reason.isprintable()

    def test_finished_run_is_not_repeated(self, connect: Connect, probe: Probe) -> None:
        """Submitting a finished run again, also after a restart, adopts it."""
        for adapter in (connect(), connect()):
            submission = adapter.submit(a_request(probe))
            assert submission.run_id == adapter.observe([RUN])[RUN].run_id
            assert outcome(adapter, RUN).phase is Phase.SUCCEEDED
        assert (submission.is_adopted, len(probe.seen())) == (True, 1)

    def test_running_run_is_adopted_after_a_restart(self, connect: Connect, probe: Probe) -> None:
        """Submitting a running run from a new adapter starts no second one."""
        first, second = connect(), connect()
        first.submit(a_request(probe, action="wait"))
        probe.started()
        assert second.submit(a_request(probe, action="wait")).is_adopted
        assert second.observe([RUN])[RUN].phase is Phase.RUNNING
        probe.release()
        assert outcome(second, RUN).phase is Phase.SUCCEEDED
        assert len(probe.seen()) == 1

    def test_racing_submits_start_one_run(self, connect: Connect, probe: Probe) -> None:
        """Several adapters that submit the same name at once start one run."""
        adapters = [connect() for _ in range(6)]
        request = a_request(probe, action="wait")
        with ThreadPoolExecutor(len(adapters)) as pool:
            submissions = list(pool.map(lambda adapter: adapter.submit(request), adapters))
        probe.release()
        seen = outcome(adapters[0], request.name)
        assert seen.phase is Phase.SUCCEEDED, seen.reason
        assert (len({submission.run_id for submission in submissions}), len(probe.seen())) == (1, 1)

    @pytest.mark.parametrize("action", ["sleep", "sleep stubbornly"])
    def test_cancelled_run_leaves_no_step(self, orchestrator: Orchestrator, probe: Probe, action: str) -> None:
        """When `cancel` returns the run is cancelled and its step is gone, even one that ignores SIGTERM."""
        orchestrator.submit(a_request(probe, action=action, seconds=LONG_S))
        step = probe.started()
        orchestrator.cancel(RUN)
        assert orchestrator.observe([RUN])[RUN].phase is Phase.CANCELED
        assert probe.ended(step)

    def test_adopted_run_can_be_cancelled(self, connect: Connect, probe: Probe) -> None:
        """A restarted daemon cancels what the one before it had started, and both see it."""
        first, second = connect(), connect()
        first.submit(a_request(probe, action="sleep", seconds=LONG_S))
        step = probe.started()
        second.cancel(RUN)
        phases = {adapter.observe([RUN])[RUN].phase for adapter in (first, second)}
        assert phases == {Phase.CANCELED}
        assert probe.ended(step)

    def test_cancelling_what_is_over_changes_nothing(self, orchestrator: Orchestrator, probe: Probe) -> None:
        """A finished run stays finished and an unknown one unknown."""
        orchestrator.submit(a_request(probe))
        assert outcome(orchestrator, RUN).phase is Phase.SUCCEEDED
        orchestrator.cancel(RUN)
        orchestrator.cancel("never-was")
        seen = orchestrator.observe([RUN, "never-was"])
        assert [seen[name].phase for name in seen] == [Phase.SUCCEEDED, Phase.VANISHED]

    def test_run_beyond_its_time_fails(self, orchestrator: Orchestrator, probe: Probe) -> None:
        """A run that exceeds its timeout is ended as failed, and says so."""
        for timeout_s in (1.5, 15.0, 150.0):  # a busy machine takes longer to begin the step
            name = f"{RUN}-{timeout_s:.0f}"
            orchestrator.submit(a_request(probe, name, action="sleep", seconds=LONG_S, timeout_s=timeout_s))
            seen = outcome(orchestrator, name)
            assert seen.phase is Phase.FAILED
            if probe.seen():
                break
        assert seen.reason == f"timed out after {timeout_s:g} s in step probe"
        assert probe.ended(probe.started())

    def test_text_arrives_as_it_was_given(self, orchestrator: Orchestrator, probe: Probe) -> None:
        """Quotes, line breaks, other scripts and names of interpreters in a parameter reach the step unchanged."""
        words = ["Größe 年", 'it\'s "quoted"', "a\nb\\n$HOME `x` %s {0}", "", "/opt/python3 env/bin/python3"]
        for number, word in enumerate(words):
            orchestrator.submit(a_request(probe, f"{RUN}-{number}", word=word))
            assert outcome(orchestrator, f"{RUN}-{number}").phase is Phase.SUCCEEDED
        assert [step["word"] for step in probe.seen()] == words

    def test_nested_parameters_arrive_as_they_were_given(self, orchestrator: Orchestrator, probe: Probe) -> None:
        """Lists and objects, nested and empty, reach the step unchanged."""
        items = [{"uri": "file:///d/churn 1.csv", "generation": "17-ab"}, [], [True, 1.5, "x"]]
        table = {"a": {"b": [1, {"c": "d'e\"f"}]}, "empty": {}}
        orchestrator.submit(a_request(probe, items=items, table=table))
        assert outcome(orchestrator, RUN).phase is Phase.SUCCEEDED
        assert (probe.seen()[0]["items"], probe.seen()[0]["table"]) == (items, table)

    def test_undeclared_parameters_are_left_out(self, orchestrator: Orchestrator, probe: Probe) -> None:
        """A pipeline that does not know all parameters of the daemon can be run."""
        orchestrator.submit(a_request(probe, pipeline="two_steps", action="end", champion_version="3"))
        assert outcome(orchestrator, RUN).phase is Phase.SUCCEEDED
        assert len(probe.seen()) == 2
