import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.acceptance.harness import wait_until
from tests.fakes import FakeOrchestrator
from trainer_daemon.commands.opening import now
from trainer_daemon.config import Settings, check_settings
from trainer_daemon.doctor.hello import Hello
from trainer_daemon.doctor.orchestrators import backend_of
from trainer_daemon.errors import TemporaryError
from trainer_daemon.policy.checks import Check, Status
from trainer_daemon.policy.observations import Observation, Phase
from trainer_daemon.ports import Orchestrator, RunRequest, Submission
from trainer_daemon.probing import examine

NAME = "doctor-hello-1"


def settings_in(folder: Path) -> Settings:
    """Settings of the local orchestrator."""
    return check_settings({"models": [{"name": "churn", "bucket": "drops"}]}, {}, folder=folder)


@dataclass
class Scripted(FakeOrchestrator):
    """Ends every run as it is told, after some looks that are not answered."""

    ending: Phase = Phase.RUNNING
    silent_looks: int = 0
    looks: int = 0
    closed: list[bool] = field(default_factory=list)

    def submit(self, request: RunRequest) -> Submission:
        """Start it, and end it at once."""
        submission = super().submit(request)
        self.phases[request.name] = self.ending
        self.reasons[request.name] = "step hello failed"
        return submission

    def observe(self, names: Sequence[str]) -> Mapping[str, Observation]:
        """Not at once."""
        if self.silent_looks:
            self.silent_looks -= 1
            msg = "busy"
            raise TemporaryError(msg)
        self.looks += 1
        return super().observe(names)

    def close(self) -> None:
        """Remember it."""
        self.closed.append(True)


def hello(orchestrator: Orchestrator, timeout_s: float = 60.0) -> Check:
    """Run it, then close."""
    run = Hello(lambda: orchestrator, name=NAME, timeout_s=timeout_s)
    (check,) = examine([run.probe()])
    run.close()
    return check


def test_hello_runs_on_this_machine(tmp_path: Path) -> None:
    """The real pipeline in the real orchestrator, whose own checks come out well."""
    with ExitStack() as resources:
        backend = backend_of(settings_in(tmp_path), resources, now)
        run = Hello(backend.connect, name=NAME, timeout_s=600.0)
        resources.callback(run.close)
        started, check = examine([*backend.probes, run.probe(*backend.probes)])
    assert (started.name, started.status, check.status) == ("orchestrator", Status.OK, Status.OK), check.found
    assert check.found.startswith(f"run {NAME} succeeded after ")
    assert "SUCCEEDED" in (tmp_path / "var" / "runs" / NAME / "log.txt").read_text()


def test_hello_is_what_is_submitted() -> None:
    """By name, with the deadline; what is not answered is asked again, and all is closed."""
    orchestrator = Scripted(ending=Phase.SUCCEEDED, silent_looks=2)
    assert hello(orchestrator).status is Status.OK
    assert orchestrator.requests == {NAME: RunRequest(name=NAME, pipeline="hello", parameters={"name": "doctor"}, timeout_s=60.0)}
    assert orchestrator.closed == [True]


def test_hello_that_fails_says_why() -> None:
    """In the orchestrator's words."""
    check = hello(Scripted(ending=Phase.FAILED))
    assert (check.status, check.found) == (Status.FAILED, f"run {NAME} ended FAILED: step hello failed")


def test_hello_that_takes_too_long_is_cancelled() -> None:
    """A cluster without room keeps it waiting."""
    orchestrator = Scripted(ending=Phase.RUNNING)
    check = hello(orchestrator, timeout_s=0.2)
    assert (check.status, "is RUNNING after 0.2 s and was cancelled" in check.found) == (Status.FAILED, True)
    assert orchestrator.phases == {NAME: Phase.CANCELED}


def test_interrupted_hello_is_cancelled() -> None:
    """Closing it is what an interruption of the command comes to."""
    orchestrator = Scripted(ending=Phase.RUNNING)
    run = Hello(lambda: orchestrator, name=NAME, timeout_s=3600.0)
    thread = threading.Thread(target=lambda: list(examine([run.probe()])), daemon=True)
    thread.start()
    wait_until(lambda: orchestrator.looks, "the run is under way")
    run.close()
    thread.join(240)
    assert (thread.is_alive(), orchestrator.phases, orchestrator.closed) == (False, {NAME: Phase.CANCELED}, [True])
