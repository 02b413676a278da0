"""Runs on this machine where room is scarce: memory is given back before one begins, and while the disk is full none is started.

One that failed meanwhile says so, and gives its room back.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from trainer_daemon.errors import TemporaryError
from trainer_daemon.policy.observations import Observation, Phase
from trainer_daemon.ports import Orchestrator, RunRequest, Submission

ROOM_MIN_BYTES = 8 * 2**20
"""With less, not even a run that does nothing can be expected to end well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomMindingOrchestrator:
    """An `Orchestrator` that looks at the disk which another one writes to.

    Attributes:
        orchestrator: Executes.
        workspace: A folder on that disk.
        spare_memory: Called before a run begins.
    """

    orchestrator: Orchestrator
    workspace: Path
    spare_memory: Callable[[], None] = lambda: None

    def submit(self, request: RunRequest) -> Submission:
        """See `Orchestrator`.

        Raises:
            TemporaryError: The disk is full, too.
        """
        if full := self._full():
            msg = f"cannot start run {request.name}: {full}; make room there, nothing is lost meanwhile"
            raise TemporaryError(msg)
        self.spare_memory()
        return self.orchestrator.submit(request)

    def observe(self, names: Sequence[str]) -> Mapping[str, Observation]:
        """See `Orchestrator`; who writes to a full disk rarely manages to say so."""
        found = self.orchestrator.observe(names)
        failed = [name for name, observation in found.items() if observation.phase is Phase.FAILED]
        if not failed or not (full := self._full()):
            return found
        for name in failed:  # what it left is in its own way: the next attempt writes everything again
            shutil.rmtree(self.workspace / "runs" / name / "artifacts", ignore_errors=True)
        return {**found, **{name: replace(found[name], reason=f"{found[name].reason}; {full}") for name in failed}}

    def pause_s(self, looks: int) -> float:
        """See `Orchestrator`."""
        return self.orchestrator.pause_s(looks)

    def cancel(self, name: str) -> None:
        """See `Orchestrator`."""
        self.orchestrator.cancel(name)

    def archive(self, name: str) -> None:
        """See `Orchestrator`."""
        self.orchestrator.archive(name)

    def close(self) -> None:
        """See `Orchestrator`."""
        self.orchestrator.close()

    def _full(self) -> str:
        """What is wrong with the disk, or ''."""
        free = shutil.disk_usage(self.workspace).free
        return (
            f"No space left on device: the disk of {self.workspace} has {free / 2**20:.1f} MiB" if free < ROOM_MIN_BYTES else ""
        )
