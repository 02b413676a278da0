"""What a test asks of the server: faults, who may ask, states of runs, the log of requests. JSON in and out, on the same port."""

import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from tests.emulators.kfp.experiments import Experiments
from tests.emulators.kfp.faults import Fault, Faults, Kind
from tests.emulators.kfp.store import Document, Store
from tests.emulators.kfp.times import NEVER, timestamp
from tests.emulators.kfp.workflows import TERMINAL, Workflows


class ControlBase:
    """What a test asks of any server that executes.

    Args:
        store: Where everything is.
        faults: What goes wrong on purpose.
        workflows: What executes runs.
        now: The clock.
    """

    REMEMBERED: ClassVar[frozenset[str]] = frozenset({
        "auth", "tokens", "sessions", "users", "cookie", "unknown_session", "executes", "cancels", "at_once",
    })  # fmt: skip

    def __init__(self, store: Store, faults: Faults, *, workflows: Workflows, now: Callable[[], float]) -> None:
        self._store = store
        self._faults = faults
        self._workflows = workflows
        self._now = now

    def commands(self) -> Mapping[str, Callable[..., Any]]:
        """What a test can ask for."""
        return {
            "fail": self.fail,
            "end_faults": self._faults.end,
            "remember": self.remember,
            "enter": self.enter,
            "requests": self.requests,
            "clear": self.clear,
        }

    def fail(
        self,
        *,
        route: str,
        kind: str,
        status: int = 0,
        headers: Mapping[str, str] | None = None,
        delay_s: float = 0.0,
        times: float | None = None,
        seconds: float | None = None,
    ) -> None:
        """Let requests go wrong."""
        fault = Fault(kind=Kind(kind), status=status, headers=headers or {}, delay_s=delay_s)
        limits = {"times": math.inf if times is None else times, "seconds": math.inf if seconds is None else seconds}
        self._faults.add(route, fault, **limits)

    def remember(self, **settings: Any) -> None:  # noqa: ANN401 - JSON
        """Change how the server behaves, also after a restart."""
        unknown = set(settings) - self.REMEMBERED
        assert not unknown, f"no such settings: {unknown}"
        for name, value in settings.items():
            self._store.set(name, value)

    def clear(self) -> None:
        """Be as a server that was just installed."""
        self._faults.end()
        self._workflows.clear()
        self._store.clear()

    def enter(self, *, run_id: str, state: str, task_details: Sequence[Document] | None = None) -> None:
        """Let a run be in a state, which the API may not know, with these tasks."""
        with self._store.transaction():
            if task_details is not None:
                run = self._store.find("run", run_id)
                assert run is not None
                self._store.save("run", run_id, run | {"run_details": {"task_details": task_details}})
            self._workflows.enter(run_id, state)

    def requests(self, *, after: int = 0) -> list[Document]:
        """The requests, oldest first; those of tests to this service are not among them.

        Args:
            after: Only those with a higher number.
        """
        columns = ("number", "time", "method", "path", "query", "status")
        query = f"select {', '.join(columns)} from request where number > ? order by number"  # noqa: S608 - made of constants
        return [dict(zip(columns, row, strict=True)) for row in self._store.database.execute(query, (after,))]


class Control(ControlBase):
    """Does what a test asks for; is never refused itself.

    Args:
        store: Where everything is.
        faults: What goes wrong on purpose.
        workflows: What executes runs.
        experiments: What runs belong to.
        now: The clock.
    """

    def __init__(
        self, store: Store, faults: Faults, *, workflows: Workflows, experiments: Experiments, now: Callable[[], float]
    ) -> None:
        super().__init__(store, faults, workflows=workflows, now=now)
        self._experiments = experiments

    def commands(self) -> Mapping[str, Callable[..., Any]]:
        """What a test can ask for."""
        return {**super().commands(), "script": self.script}

    def script(self, *, runs: Sequence[Mapping[str, Any]], experiment_id: str = "") -> list[str]:
        """Make runs that nothing executes, and return their ids.

        Args:
            runs: Fields of each, such as `display_name`, `state`, `created_at` and `run_details`.
            experiment_id: What they belong to; "" is the default.
        """
        experiment_id = experiment_id or self._experiments.default()["experiment_id"]
        scope = self._experiments.scope(experiment_id)
        with self._store.transaction():
            return [self._add(run, experiment_id, scope) for run in runs]

    def _add(self, fields: Mapping[str, Any], experiment_id: str, scope: str) -> str:
        now, state = timestamp(self._now()), fields.get("state", "RUNNING")
        run: Document = {
            "experiment_id": experiment_id,
            "run_id": str(uuid.uuid4()),
            "storage_state": "AVAILABLE",
            "created_at": now,
            "scheduled_at": now,
            "finished_at": now if state in TERMINAL else NEVER,
            "state": state,
            "state_history": [{"update_time": now, "state": state}],
            **fields,
        }
        self._store.add("run", run["run_id"], run, scope=scope, name=run["display_name"])
        self._workflows.adopt(run["run_id"])
        return str(run["run_id"])
