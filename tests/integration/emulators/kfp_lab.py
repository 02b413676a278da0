"""The Kubeflow Pipelines server of the tests with the real client, and pipelines to run on it."""

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.acceptance.harness import wait_until
from tests.emulators.kfp_server import KfpServer
from tests.integration.orchestrator_contract import Probe

if TYPE_CHECKING:
    import kfp

ENDED = frozenset({"SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"})
ANSWER_S = 240
MakeLab = Callable[..., "Lab"]


def connect(server: KfpServer, **options: Any) -> "kfp.Client":  # noqa: ANN401 - those of the client
    """The real client."""
    import kfp

    if server.certificates:
        options.setdefault("ssl_ca_cert", str(server.certificates.authority))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it announces which servers it works with
        return kfp.Client(host=server.host, **options)


def where(key: str, value: str, operation: str = "EQUALS") -> str:
    """A filter as the client's documentation shows it."""
    return json.dumps({"predicates": [{"operation": operation, "key": key, "stringValue": value}]})


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """A server, a client of it, and pipelines.

    Attributes:
        packages: The folder of `probe.yaml` and `two_steps.yaml`.
        probe: What the steps of both write to.
    """

    server: KfpServer
    client: Any
    packages: Path
    probe: Probe

    def package(self, name: str) -> str:
        """The path of a compiled pipeline."""
        return str(self.packages / f"{name}.yaml")

    def experiment(self, name: str = "churn") -> str:
        """The id of an experiment, which is made when missing."""
        return str(self.client.create_experiment(name).experiment_id)

    def run(self, name: str = "a-run", *, pipeline: str = "probe", enable_caching: bool | None = None, **parameters: Any) -> str:  # noqa: ANN401 - of the pipeline
        """Create a run with an inline spec and return its id."""
        given = {"out": str(self.probe.path), **parameters}
        options = {"params": given, "enable_caching": enable_caching}
        return str(self.client.run_pipeline(self.experiment(), name, self.package(pipeline), **options).run_id)

    def state(self, run_id: str) -> str:
        """A run's state."""
        return str(self.client.get_run(run_id).state)

    def wait(self, run_id: str, *states: str) -> str:
        """Wait until a run is in one of these states, or has ended when none is given; return the state."""
        wanted = states or ENDED
        return str(wait_until(lambda: self.state(run_id) in wanted and self.state(run_id), f"{run_id} is in {wanted}", ANSWER_S))

    def tasks(self, run_id: str) -> dict[str, Any]:
        """The details of a run's tasks, by their name."""
        return {task.display_name: task for task in self.client.get_run(run_id).run_details.task_details}

    def upload(self, name: str = "churn", *, pipeline: str = "probe") -> tuple[str, str]:
        """Upload a pipeline; its id and that of its version."""
        pipeline_id = self.client.upload_pipeline(self.package(pipeline), name).pipeline_id
        versions = self.client.list_pipeline_versions(pipeline_id).pipeline_versions
        return pipeline_id, versions[0].pipeline_version_id
