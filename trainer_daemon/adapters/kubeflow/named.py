"""Runs by name, of which the API may have several: the oldest counts, the others are told to end as soon as they are seen."""

from collections.abc import Sequence

from structlog.typing import FilteringBoundLogger

from trainer_daemon.adapters.kubeflow.api import KubeflowApi
from trainer_daemon.adapters.kubeflow.library import found_or_made
from trainer_daemon.adapters.kubeflow.runs import KfpRun, oldest


class NamedRuns:
    """The runs of one experiment; see `remote.orchestrator.Service`.

    Args:
        api: The server.
        experiment: Its name.
        log: The daemon's.
    """

    title = "Kubeflow Pipelines"

    def __init__(self, api: KubeflowApi, experiment: str, log: FilteringBoundLogger) -> None:
        self._api = api
        self._experiment = experiment
        self._log = log
        self._experiment_id = ""

    def find_experiment(self) -> str | None:
        """Its id, kept once there is one."""
        if not self._experiment_id:
            self._experiment_id = self._api.find_experiment(self._experiment) or ""
        return self._experiment_id or None

    def ensured_experiment(self) -> str:
        """Its id; it is made when it is missing."""
        name = self._experiment
        what = f"experiment {name}"
        self._experiment_id = found_or_made(what, self.find_experiment, lambda: self._api.create_experiment(name))
        return self._experiment_id

    def forget_experiment(self) -> None:
        """Somebody may have deleted it: ask for its id again."""
        self._experiment_id = ""

    def open_runs(self) -> Sequence[KfpRun]:
        """Every run that is not over."""
        experiment = self.find_experiment()
        return self._api.open_runs(experiment) if experiment else ()

    def settle(self, name: str, listed: Sequence[KfpRun]) -> KfpRun | None:
        """The oldest run of a name; the others are told to end, since nobody would wait for them."""
        runs = listed or self._all(name)
        first = oldest(runs)
        others = [run for run in runs if run is not first and not run.is_ending]
        for other in others:
            self._api.terminate(other.id)
        if others and first is not None:
            self._log.warning("run_duplicated", run=name, run_id=first.id, terminated=[other.id for other in others])
        return first

    def living(self, name: str) -> Sequence[KfpRun]:
        """Every run of the name that is not over."""
        return [run for run in self._all(name) if not run.is_over]

    def detailed(self, run: KfpRun) -> KfpRun | None:
        """With its tasks."""
        return self._api.get_run(run.id)

    def end(self, run: KfpRun) -> None:
        """Tell it to end."""
        self._api.terminate(run.id)

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    def _all(self, name: str) -> Sequence[KfpRun]:
        experiment = self.find_experiment()
        return self._api.runs_named(experiment, name) if experiment else ()
