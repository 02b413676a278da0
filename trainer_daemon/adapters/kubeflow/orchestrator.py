"""Runs pipelines on Kubeflow Pipelines.

The argument for one run per name. The API gives no name to one run only, and creating is not idempotent: a create whose reply is
lost has happened or not. So:

* `submit` looks for the name first, and adopts what it finds, finished or not. When the reply to a create is lost it looks again,
  at once; what it does not find then it finds at the next attempt, which begins with the same look.
* If the first create arrives after that second look there are two runs after all. Of several runs of one name the oldest counts,
  whoever looks, whenever; the others are told to end as soon as they are seen: by `submit` after its own create, and by every
  later look.
* A run is over when the API says so and not before: a cancelled or overdue one is told to end and then watched like any other.
  That it ended after its time, and not because somebody cancelled it, is read from its own times, so it survives a restart.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

from structlog.typing import FilteringBoundLogger

from trainer_daemon.adapters.kubeflow.api import KubeflowApi, NewRun
from trainer_daemon.adapters.kubeflow.errors import Refused
from trainer_daemon.adapters.kubeflow.library import Library, found_or_made
from trainer_daemon.adapters.kubeflow.runs import KfpRun, is_overdue, observation_of
from trainer_daemon.adapters.kubeflow.spec import arguments
from trainer_daemon.adapters.kubeflow.watch import Watch
from trainer_daemon.errors import TemporaryError
from trainer_daemon.policy.observations import Observation, Phase
from trainer_daemon.ports import RunRequest, Submission

_ENDING_LOOK_S = 0.5
_PAUSE_S_MIN = 0.1
_GONE = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND})
"""How a create is refused whose experiment or pipeline somebody has deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where runs are put, and what they are given there.

    Attributes:
        experiment: Its name; made when missing.
        pipeline_root: Where artifacts are kept; empty for the installation's own choice.
        service_account: That the steps run as; empty for the installation's own choice.
        link: The page of a run by its id; empty when nobody said where that is.
        run_timeout_s: Of runs that an earlier daemon has started.
        ending_s: How long a cancelled run may take to end before somebody hears of it.
        archive: Whether superseded runs are put out of sight.
    """

    experiment: str
    run_timeout_s: float
    pipeline_root: str = ""
    service_account: str = ""
    link: Callable[[str], str] = lambda _: ""
    ending_s: float = 30.0
    archive: bool = False


class KubeflowOrchestrator:
    """An `Orchestrator` on a Kubeflow Pipelines installation.

    Args:
        api: The server; closed with this.
        library: The pipelines on it.
        placement: Where runs are put.
        on_change: Called with a run's name when it is seen in another state.
        clock: Now, in UTC.
        log: The daemon's.
        look_s: The shortest and the longest time between two looks, see `Watch`.
    """

    def __init__(
        self,
        api: KubeflowApi,
        library: Library,
        placement: Placement,
        *,
        on_change: Callable[[str], None],
        clock: Callable[[], datetime],
        log: FilteringBoundLogger,
        look_s: tuple[float, float] = (2.0, 30.0),
    ) -> None:
        self._api = api
        self._library = library
        self._placement = placement
        self._clock = clock
        self._log = log
        self._watch = Watch(api, experiment=self._find_experiment, on_change=on_change, log=log, look_s=look_s)
        self._experiment_id = ""
        self._timeouts_s: dict[str, float] = {}
        self._overdue: set[str] = set()
        self._submitting = threading.Lock()
        self._closed = threading.Event()

    def submit(self, request: RunRequest) -> Submission:
        """Start the run unless there is one of its name.

        Raises:
            PermanentError: It can never be executed: no such pipeline, a parameter is missing, the server refuses it.
            TemporaryError: The server does not answer, or throttles.
        """
        with self._submitting:
            self._timeouts_s[request.name] = request.timeout_s
            found = self._watch.find(request.name)
            created = None if found else self._create(request)
            run = found or self._watch.find(request.name) or created
        if run is None:
            msg = f"Kubeflow Pipelines has lost run {request.name} while it was being created"
            raise TemporaryError(msg)
        self._watch.note(run)
        return Submission(run_id=run.id, is_adopted=created is None or created.id != run.id, link=self._placement.link(run.id))

    def observe(self, names: Sequence[str]) -> Mapping[str, Observation]:
        """The state of each named run as of the last look at all of them.

        Raises:
            PermanentError: The server refuses.
            TemporaryError: It does not answer.
        """
        return {name: self._observation(name, run) for name, run in self._watch.see(names).items()}

    def pause_s(self, looks: int) -> float:  # noqa: ARG002 - the look is shared, so nobody's own count matters
        """How long `observe` will go on saying the same; never nothing, since somebody else may have to look first."""
        return max(self._watch.pause_s(), _PAUSE_S_MIN)

    def cancel(self, name: str) -> None:
        """End every run of the name and return when all are over.

        Raises:
            TemporaryError: They do not end in time; they have been told to.
        """
        deadline = time.monotonic() + self._placement.ending_s
        while living := self._living(name):
            for run in living:
                if not run.is_ending:
                    self._api.terminate(run.id)
            if time.monotonic() > deadline or self._closed.wait(_ENDING_LOOK_S):
                msg = f"run {name} was told to end on Kubeflow Pipelines and is still {living[0].state}"
                raise TemporaryError(msg)
        self._watch.find(name)

    def archive(self, name: str) -> None:
        """Put a superseded run out of sight in the user interface, if that is wanted."""
        if self._placement.archive and (run := self._watch.find(name)):
            self._api.archive(run.id)

    def close(self) -> None:
        """Wait for nothing any more and close the connections; runs go on."""
        self._closed.set()
        self._api.close()

    def _create(self, request: RunRequest) -> KfpRun | None:
        """A new run, or the one that was made although the reply was lost; ids that are outdated are asked for again."""
        try:
            return self._create_once(request)
        except Refused as exc:
            self._forget()
            if exc.status not in _GONE:
                raise
        except TemporaryError:
            self._forget()  # the server calls a version that was deleted an error of its own
            if (run := self._watch.find(request.name)) is not None:
                return run
            raise
        return self._create_once(request)

    def _forget(self) -> None:
        """Ask for every id again."""
        self._experiment_id = ""
        self._library.forget()

    def _create_once(self, request: RunRequest) -> KfpRun:
        edition = self._library.edition(request.pipeline)
        new = NewRun(
            name=request.name,
            experiment_id=self._ensured_experiment(),
            pipeline_id=edition.pipeline_id,
            version_id=edition.version_id,
            parameters=arguments(edition.spec, request.parameters),
            pipeline_root=self._placement.pipeline_root,
            service_account=self._placement.service_account,
        )
        return self._api.create_run(new)

    def _observation(self, name: str, run: KfpRun | None) -> Observation:
        if run is None:
            return Observation(name=name, phase=Phase.VANISHED)
        timeout_s = self._timeouts_s.get(name, self._placement.run_timeout_s)
        if not run.is_ending and is_overdue(run, timeout_s, self._clock()):
            self._end_overdue(run, timeout_s)
        if run.phase in {Phase.FAILED, Phase.CANCELED} and not run.tasks:  # the list leaves them out
            run = self._api.get_run(run.id) or run
        return observation_of(run, timeout_s=timeout_s, link=self._placement.link(run.id))

    def _end_overdue(self, run: KfpRun, timeout_s: float) -> None:
        """Its end is seen by a later look."""
        self._api.terminate(run.id)
        if run.id not in self._overdue:
            self._overdue.add(run.id)
            self._log.warning("run_overdue", run=run.name, run_id=run.id, timeout_s=timeout_s)
        self._watch.note(run)

    def _living(self, name: str) -> Sequence[KfpRun]:
        experiment = self._find_experiment()
        runs = self._api.runs_named(experiment, name) if experiment else ()
        return [run for run in runs if not run.is_over]

    def _find_experiment(self) -> str | None:
        """Its id, kept once there is one."""
        if not self._experiment_id:
            self._experiment_id = self._api.find_experiment(self._placement.experiment) or ""
        return self._experiment_id or None

    def _ensured_experiment(self) -> str:
        name = self._placement.experiment
        self._experiment_id = found_or_made(
            f"experiment {name}", self._find_experiment, lambda: self._api.create_experiment(name)
        )
        return self._experiment_id
