"""Runs pipelines on Kubeflow Pipelines.

The argument for one run per name. The API gives no name to one run only, and creating is not idempotent: a create whose reply is
lost has happened or not. So:

* `submit` looks for the name first, and adopts what it finds, finished or not. When the reply to a create is lost it looks again,
  at once; what it does not find then it finds at the next attempt, which begins with the same look.
* If the first create arrives after that second look there are two runs after all. Of several runs of one name the oldest counts,
  whoever looks, whenever; the others are told to end as soon as they are seen: by `submit` after its own create, and by every
  later look.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

from structlog.typing import FilteringBoundLogger

from trainer_daemon.adapters.kubeflow.api import KubeflowApi, NewRun
from trainer_daemon.adapters.kubeflow.library import Library
from trainer_daemon.adapters.kubeflow.named import NamedRuns
from trainer_daemon.adapters.kubeflow.runs import KfpRun
from trainer_daemon.errors import TemporaryError
from trainer_daemon.ports import RunRequest, Submission
from trainer_daemon.remote.errors import Refused
from trainer_daemon.remote.orchestrator import Habits, RemoteOrchestrator
from trainer_daemon.remote.spec import arguments

_GONE = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND})
"""How a create is refused whose experiment or pipeline somebody has deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where runs are put, and what they are given there.

    Attributes:
        experiment: Its name; made when missing.
        pipeline_root: Where artifacts are kept; empty for the installation's own choice.
        service_account: That the steps run as; empty for the installation's own choice.
        archive: Whether superseded runs are put out of sight.
    """

    experiment: str
    pipeline_root: str = ""
    service_account: str = ""
    archive: bool = False


class KubeflowOrchestrator(RemoteOrchestrator[KfpRun]):
    """An `Orchestrator` on a Kubeflow Pipelines installation.

    Args:
        api: The server; closed with this.
        library: The pipelines on it.
        placement: Where runs are put.
        habits: How they are followed.
        on_change: Called with a run's name when it is seen in another state.
        clock: Now, in UTC.
        log: The daemon's.
    """

    def __init__(
        self,
        api: KubeflowApi,
        library: Library,
        placement: Placement,
        *,
        habits: Habits,
        on_change: Callable[[str], None],
        clock: Callable[[], datetime],
        log: FilteringBoundLogger,
    ) -> None:
        named = NamedRuns(api, placement.experiment, log)
        super().__init__(named, habits, on_change=on_change, clock=clock, log=log)
        self._api = api
        self._library = library
        self._placement = placement
        self._named = named
        self._submitting = threading.Lock()

    def submit(self, request: RunRequest) -> Submission:
        """Start the run unless there is one of its name.

        Raises:
            PermanentError: It can never be executed: no such pipeline, a parameter is missing, the server refuses it.
            TemporaryError: The server does not answer, or throttles.
        """
        with self._submitting:
            self._expect(request.name, request.timeout_s)
            found = self._watch.find(request.name)
            created = None if found else self._create(request)
            run = found or self._watch.find(request.name) or created
        if run is None:
            msg = f"Kubeflow Pipelines has lost run {request.name} while it was being created"
            raise TemporaryError(msg)
        self._watch.note(run)
        return Submission(run_id=run.id, is_adopted=created is None or created.id != run.id, link=self._link(run.id))

    def archive(self, name: str) -> None:
        """Put a superseded run out of sight in the user interface, if that is wanted."""
        if self._placement.archive and (run := self._watch.find(name)):
            self._api.archive(run.id)

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
        self._named.forget_experiment()
        self._library.forget()

    def _create_once(self, request: RunRequest) -> KfpRun:
        edition = self._library.edition(request.pipeline)
        new = NewRun(
            name=request.name,
            experiment_id=self._named.ensured_experiment(),
            pipeline_id=edition.pipeline_id,
            version_id=edition.version_id,
            parameters=arguments(edition.spec, request.parameters),
            pipeline_root=self._placement.pipeline_root,
            service_account=self._placement.service_account,
        )
        return self._api.create_run(new)
