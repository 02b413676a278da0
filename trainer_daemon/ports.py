"""The roles that adapters play for the reconciler; each Protocol's docstring is the contract its test suite checks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from trainer_daemon.policy.events import DatasetVersion
from trainer_daemon.policy.observations import Champion, Observation, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A drop that is complete.

    Attributes:
        signature: Equal as long as the object was not touched; lets the next listing skip reading it.
        modified_at: When the store last saw it change.
        order: Orders the versions of one object where the store does; None means by arrival.
    """

    drop: DatasetVersion
    signature: str
    modified_at: datetime
    order: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """An object that is no drop; `reason` is one sentence.

    Attributes:
        is_foreign: It is not even named like one; somebody may have misspelt a name, or it belongs to somebody else.
    """

    name: str
    reason: str
    is_foreign: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Incomplete:
    """A drop that somebody is still writing: look again soon."""

    name: str


Listed = Found | Ignored | Incomplete


class Bucket(Protocol):
    """Where drops arrive."""

    def list_drops(self, known: Mapping[str, tuple[str, DatasetVersion]]) -> Iterator[Listed]:
        """Everything in the bucket whose name is one of a drop.

        Args:
            known: By URI, the signature and the drop that an earlier listing found; what still has it is not read again.

        Raises:
            TemporaryError: The bucket cannot be listed now.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """Everything an orchestrator needs to execute one attempt of a run.

    Attributes:
        name: Deterministic; the same name is the same run.
        pipeline: `training`, `evaluation`, `hello` or the path of a compiled pipeline.
        parameters: Root parameters of the pipeline; those it does not declare are left out.
        timeout_s: The run is ended as failed after so long.
    """

    name: str
    pipeline: str
    parameters: Mapping[str, Any]
    timeout_s: float


class Orchestrator(Protocol):
    """Executes pipelines. Every call has a deadline; raises TemporaryError or PermanentError, nothing else."""

    def submit(self, request: RunRequest) -> str:
        """Start the run unless one of this name exists already (running or finished); returns the orchestrator's id of it."""

    def observe(self, names: Sequence[str]) -> Mapping[str, Observation]:
        """The state of each named run; a run that does not exist is VANISHED, never absent."""

    def cancel(self, name: str) -> None:
        """End the run and return when it is terminal; cancelling a terminal or vanished run is no error."""

    def close(self) -> None:
        """Release what the adapter holds; running pipelines go on."""


class Registry(Protocol):
    """Models and evidence. Every call has a deadline; raises TemporaryError or PermanentError, nothing else."""

    def champion(self, model: str) -> Champion | None:
        """The version that alias `champion` points to, None when there is none."""

    def outcome(self, model: str, run_key: str) -> Outcome:
        """What the run of this key has left: version, evaluation, failure."""

    def record_decision(self, model: str, version: str, tags: Mapping[str, str]) -> None:
        """Write the decision on the version as tags; writing the same again is no error."""

    def promote(self, model: str, version: str, *, expected: str) -> str:
        """Point `champion` at the version and `previous-champion` at `expected`, if the champion still is `expected`.

        Args:
            model: Name of the registered model.
            version: The new champion.
            expected: The version it was decided against; empty when there was none.

        Returns:
            The champion's version afterwards: `version` when it was moved now or before, otherwise whoever is champion.
        """

    def close(self) -> None:
        """Release what the adapter holds."""
