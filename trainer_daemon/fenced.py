"""The roles of `ports` that have side effects, each around the adapter that plays it: nobody acts without the model's lease."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from trainer_daemon.policy.observations import Champion, Observation, Outcome
from trainer_daemon.ports import Orchestrator, Registry, RunRequest, Submission


class Permit(Protocol):
    """Asked immediately before every side effect."""

    def confirm(self) -> None:
        """Return if it may begin; raises LeaseLostError when it may not, TemporaryError when nobody can tell."""


class FencedOrchestrator:
    """An `Orchestrator`; looking is free."""

    def __init__(self, orchestrator: Orchestrator, permit: Permit) -> None:
        self._orchestrator = orchestrator
        self._permit = permit

    def submit(self, request: RunRequest) -> Submission:
        """Start the run unless there is one of this name."""
        self._permit.confirm()
        return self._orchestrator.submit(request)

    def observe(self, names: Sequence[str]) -> Mapping[str, Observation]:
        """The state of each named run."""
        return self._orchestrator.observe(names)

    def pause_s(self, looks: int) -> float:
        """How long to wait until an open run is looked at again."""
        return self._orchestrator.pause_s(looks)

    def cancel(self, name: str) -> None:
        """End the run."""
        self._permit.confirm()
        self._orchestrator.cancel(name)

    def archive(self, name: str) -> None:
        """Put a run out of sight."""
        self._permit.confirm()
        self._orchestrator.archive(name)

    def close(self) -> None:
        """Release what the adapter holds."""
        self._orchestrator.close()


class FencedRegistry:
    """A `Registry`; looking is free."""

    def __init__(self, registry: Registry, permit: Permit) -> None:
        self._registry = registry
        self._permit = permit

    def champion(self, model: str) -> Champion | None:
        """The version that alias `champion` points to."""
        return self._registry.champion(model)

    def outcome(self, model: str, run_key: str) -> Outcome:
        """What the run of this key has left."""
        return self._registry.outcome(model, run_key)

    def record_decision(self, model: str, version: str, tags: Mapping[str, str]) -> None:
        """Write the decision on the version."""
        self._permit.confirm()
        self._registry.record_decision(model, version, tags)

    def describe(self, model: str, version: str, card: str) -> None:
        """Write the version's description."""
        self._permit.confirm()
        self._registry.describe(model, version, card)

    def keep_report(self, model: str, run_key: str, page: str) -> None:
        """Keep the page beside the evidence."""
        self._permit.confirm()
        self._registry.keep_report(model, run_key, page)

    def promote(self, model: str, version: str, *, expected: str) -> str:
        """Point `champion` at the version, if it still points at the expected one."""
        self._permit.confirm()
        return self._registry.promote(model, version, expected=expected)

    def move_champion(self, model: str, version: str, *, expected: str) -> str:
        """The same for a person."""
        self._permit.confirm()
        return self._registry.move_champion(model, version, expected=expected)

    def close(self) -> None:
        """Release what the adapter holds."""
        self._registry.close()
