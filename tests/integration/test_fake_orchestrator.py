"""The orchestrator in memory passes the contract of the real ones, as far as it needs no process."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.fakes import FakeOrchestrator
from tests.integration.orchestrator_contract import Connect, OrchestratorContract
from trainer_daemon.policy.observations import Phase
from trainer_daemon.ports import RunRequest, Submission


class ObedientFake(FakeOrchestrator):
    """Does at once what the probe pipeline would do in a process."""

    def submit(self, request: RunRequest) -> Submission:
        """Execute a run that is new."""
        submission = super().submit(request)
        if not submission.is_adopted:
            execute_probe(self, request.name, request.parameters)
        return submission


def execute_probe(fake: FakeOrchestrator, name: str, parameters: Mapping[str, object]) -> None:
    """Do what the probe pipeline does."""
    if parameters.get("action") == "fail":
        fake.phases[name] = Phase.FAILED
        fake.reasons[name] = f"step probe failed: ValueError: {parameters['word']}"
        return
    with Path(str(parameters["out"])).open("a", encoding="utf-8") as out:
        out.write(json.dumps({"pid": 0, **parameters}) + "\n")
    fake.phases[name] = Phase.SUCCEEDED


class TestFakeOrchestrator(OrchestratorContract):
    """What the reconciler's tests rely on: names are identities, what is over stays over."""

    test_running_run_is_adopted_after_a_restart = None  # type: ignore[assignment]  # needs a process
    test_racing_submits_start_one_run = None  # type: ignore[assignment]  # needs a process
    test_cancelled_run_leaves_no_step = None  # type: ignore[assignment]  # needs a process
    test_adopted_run_can_be_cancelled = None  # type: ignore[assignment]  # needs a process
    test_run_beyond_its_time_fails = None  # type: ignore[assignment]  # needs a process
    test_undeclared_parameters_are_left_out = None  # type: ignore[assignment]  # needs a process

    @pytest.fixture
    def connect(self) -> Connect:
        """Every adapter is the same object: memory does not outlive it."""
        fake = ObedientFake()
        return lambda: fake

    def test_running_run_is_cancelled(self) -> None:
        """And only a running one."""
        fake = FakeOrchestrator()
        request = RunRequest(name="churn-1", pipeline="training", parameters={}, timeout_s=1)
        fake.submit(request)
        fake.cancel("churn-1")
        assert fake.submit(request) == Submission(run_id="churn-1", is_adopted=True)
        assert fake.observe(["churn-1"])["churn-1"].phase is Phase.CANCELED
