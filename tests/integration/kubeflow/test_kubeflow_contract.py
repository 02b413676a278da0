from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.kubeflow.conftest import Installation
from tests.integration.orchestrator_contract import RUN, Connect, OrchestratorContract, Probe, a_request, eventually, outcome
from trainer_daemon.adapters.kubeflow import KubeflowOrchestrator
from trainer_daemon.policy.observations import Phase
from trainer_daemon.ports import Orchestrator


class TestKubeflowOrchestrator(OrchestratorContract):
    """The contract, on a server of Kubeflow Pipelines."""

    test_racing_submits_start_one_run = None  # type: ignore[assignment]  # the server starts one for each: see below
    test_run_beyond_its_time_fails = None  # type: ignore[assignment]  # its time passes while it is PENDING: see test_kubeflow_endings

    @pytest.fixture
    def connect(self, installation: Installation) -> Connect:
        """A restarted daemon is one more client."""
        return installation.connect

    def test_of_racing_submits_one_run_is_left(self, installation: Installation, connect: Connect, probe: Probe) -> None:
        """The server would start one for each; in the end one is executed and everybody follows it."""
        installation.server.execute(at_once=1)
        adapters = [connect() for _ in range(6)]
        request = a_request(probe, action="wait")
        with ThreadPoolExecutor(len(adapters)) as pool:
            list(pool.map(lambda adapter: adapter.submit(request), adapters))
        probe.release()
        assert outcome(adapters[0], request.name).phase is Phase.SUCCEEDED
        assert len({adapter.observe([RUN])[RUN].run_id for adapter in adapters}) == 1
        assert len({outcome(adapter, RUN).run_id for adapter in adapters}) == 1
        api = installation.api()
        experiment = api.find_experiment("tests")
        assert experiment is not None
        eventually(lambda: all(run.is_over for run in api.runs_named(experiment, RUN)))
        assert sum(run.state == "SUCCEEDED" for run in api.runs_named(experiment, RUN)) == 1


def _conforms(adapter: KubeflowOrchestrator) -> Orchestrator:
    """The type checker's proof that the adapter plays the role."""
    return adapter
