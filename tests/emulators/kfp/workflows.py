"""What a cluster's workflow controller does: runs wait for room, execute, end. Tests can take runs out of its hands."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

from tests.emulators.kfp.executors import Executors, Stage
from tests.emulators.kfp.run_files import EVENTS
from tests.emulators.kfp.store import Document, Store
from tests.emulators.kfp.task_details import task_details
from tests.emulators.kfp.times import NEVER, timestamp
from trainer_daemon.adapters.local.run_folder import Result
from trainer_daemon.policy.observations import Phase

TERMINAL = frozenset({"SUCCEEDED", "SKIPPED", "FAILED", "CANCELED"})
_TERMINABLE = frozenset({"PENDING", "RUNNING", "PAUSED"})
_PATIENCE_S = 60.0
_AT_ONCE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Workflow:
    run_id: str
    attempt: int
    spec: str | None
    parameters: str
    cancelled_at: float | None

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.run_id}-{self.attempt}"


class Workflows:
    """Executes runs, a few at a time.

    Args:
        store: Where runs and workflows are.
        executors: The processes.
        now: The clock.
        stamp: How times are written.
    """

    def __init__(
        self, store: Store, executors: Executors, now: Callable[[], float], *, stamp: Callable[[float], str] = timestamp
    ) -> None:
        self._stamp = stamp
        self._store = store
        self._executors = executors
        self._now = now
        self._asked: set[_Workflow] = set()

    def submit(self, run_id: str, spec: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
        """Execute a run, now or later; never, if the test wants to play the executor itself."""
        is_executed = self._store.setting("executes", default=True)
        self._open(run_id, json.dumps(spec) if is_executed else None, json.dumps(parameters))

    def adopt(self, run_id: str) -> None:
        """Take a run that a test made; nothing executes it."""
        self._open(run_id, None, "{}")

    def terminate(self, run: Document) -> bool:
        """Begin to end a run.

        Returns:
            False if it has ended or is ending.
        """
        if run["state"] not in _TERMINABLE:
            return False
        # as on the server, the state history does not tell of it
        self._store.save("run", run["run_id"], run | {"state": "CANCELING"})
        statement = "update workflow set cancelled_at = ? where run_id = ?"
        self._store.database.execute(statement, (self._now(), run["run_id"]))
        return True

    def retry(self, run: Document) -> None:
        """Execute a run again from its beginning."""
        statement = "update workflow set attempt = attempt + 1, is_open = 1, cancelled_at = null where run_id = ?"
        self._store.database.execute(statement, (run["run_id"],))
        self.enter(run["run_id"], "PENDING")

    def forget(self, run_id: str) -> None:
        """End a run at once and remove what is known of it."""
        workflow = self._workflow(run_id)
        self._executors.end(workflow.name)
        self._executors.forget(workflow.name)
        self._store.database.execute("delete from workflow where run_id = ?", (run_id,))

    def clear(self) -> None:
        """End every run at once, and forget all."""
        self._executors.clear()
        self._asked.clear()

    def enter(self, run_id: str, state: str) -> None:
        """Let a run be in a state."""
        run = self._store.find("run", run_id)
        assert run is not None
        now = self._stamp(self._now())
        run |= {"state": state, "finished_at": now if state in TERMINAL else NEVER}
        run["state_history"].append({"update_time": now, "state": state})
        self._store.save("run", run_id, run)
        if state in TERMINAL:
            self._store.database.execute("update workflow set is_open = 0 where run_id = ?", (run_id,))

    def events(self, run_id: str) -> Path:
        """The file that tells of a run's tasks; it need not exist."""
        return self._executors.folder(self._workflow(run_id).name).path / EVENTS

    def detailed(self, run: Document) -> Document:
        """A run with its tasks."""
        tasks = run.get("run_details", {}).get("task_details")  # of a run that a test made
        if tasks is None:
            tasks = task_details(run, self.events(run["run_id"]))
        return run | ({"run_details": {"task_details": tasks}} if tasks else {})

    def advance(self) -> None:
        """Look at every open run once and do what is due."""
        stages = {each: self._executors.look(each.name) for each in self._workflows("is_open and spec is not null")}
        room = self._store.setting("at_once", _AT_ONCE) - sum(stage is Stage.RUNNING for stage in stages.values())
        for workflow, stage in stages.items():
            with self._store.transaction():
                room -= self._advance(workflow, stage, has_room=room > 0)
        for workflow in self._workflows("is_open and spec is null and cancelled_at is not null"):
            with self._store.transaction():
                self._end_cancelled(workflow)

    def _advance(self, workflow: _Workflow, stage: Result | Stage, *, has_room: bool) -> bool:
        """Do what is due for one run; True if it was started."""
        match stage:
            case Result():
                self.enter(workflow.run_id, "SUCCEEDED" if stage.phase is Phase.SUCCEEDED else "FAILED")
            case Stage.GONE:
                self._end_dead(workflow)
            case Stage.RUNNING:
                self._watch(workflow)
            case Stage.NEW:
                return self._start(workflow, has_room=has_room)
            case _:
                assert_never(stage)
        return False

    def _start(self, workflow: _Workflow, *, has_room: bool) -> bool:
        if workflow.cancelled_at is not None:
            self._end_cancelled(workflow)
            return False
        if has_room:
            assert workflow.spec is not None
            self._executors.start(workflow.name, json.loads(workflow.spec), json.loads(workflow.parameters))
            self.enter(workflow.run_id, "RUNNING")
        return has_room

    def _watch(self, workflow: _Workflow) -> None:
        """See to a run that is being executed."""
        if workflow.cancelled_at is None:
            run = self._store.find("run", workflow.run_id)
            if run is not None and run["state"] == "PENDING":  # the server was killed before it could say so
                self.enter(workflow.run_id, "RUNNING")
        elif self._now() - workflow.cancelled_at > _PATIENCE_S:
            self._executors.end(workflow.name)
        elif workflow not in self._asked and self._executors.ask_to_end(workflow.name):
            self._asked.add(workflow)

    def _end_dead(self, workflow: _Workflow) -> None:
        self._executors.end(workflow.name)
        if workflow.cancelled_at is None:
            self.enter(workflow.run_id, "FAILED")
        else:
            self._end_cancelled(workflow)

    def _end_cancelled(self, workflow: _Workflow) -> None:
        if self._store.setting("cancels", default=True):
            self.enter(workflow.run_id, "CANCELED")

    def _open(self, run_id: str, spec: str | None, parameters: str) -> None:
        statement = "insert into workflow (run_id, spec, parameters) values (?, ?, ?)"
        self._store.database.execute(statement, (run_id, spec, parameters))

    def _workflow(self, run_id: str) -> _Workflow:
        return self._workflows("run_id = ?", run_id)[0]

    def _workflows(self, condition: str, *values: str) -> list[_Workflow]:
        query = f"select run_id, attempt, spec, parameters, cancelled_at from workflow where {condition} order by rowid"  # noqa: S608 - made of constants
        rows = self._store.database.execute(query, values).fetchall()
        return [
            _Workflow(run_id=run_id, attempt=attempt, spec=spec, parameters=parameters, cancelled_at=cancelled_at)
            for run_id, attempt, spec, parameters, cancelled_at in rows
        ]
