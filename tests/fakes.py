"""Orchestrator and registry in memory; both pass the contract suites of the real adapters, as far as no process is needed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trainer_daemon.adapters.registry.moving import move_champion
from trainer_daemon.errors import RolledBackError
from trainer_daemon.policy.marks import ROLLED_BACK_TAG
from trainer_daemon.policy.observations import Champion, Evaluation, Failure, Observation, Outcome, Phase, Verdict
from trainer_daemon.ports import RunRequest, Submission


@dataclass
class FakeOrchestrator:
    """Runs exist by name; a test says how they end."""

    requests: dict[str, RunRequest] = field(default_factory=dict)
    phases: dict[str, Phase] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    archived: list[str] = field(default_factory=list)

    def submit(self, request: RunRequest) -> Submission:
        """Start a run unless its name is taken."""
        is_new = request.name not in self.requests or self.phases[request.name] is Phase.VANISHED
        if is_new:
            self.requests[request.name] = request
            self.phases[request.name] = Phase.RUNNING
        return Submission(run_id=request.name, is_adopted=not is_new)

    def observe(self, names: Sequence[str]) -> Mapping[str, Observation]:
        """The phases that were set."""
        phases = {name: self.phases.get(name, Phase.VANISHED) for name in names}
        return {
            name: Observation(name=name, phase=phase, run_id=name, reason=self.reasons.get(name, ""))
            for name, phase in phases.items()
        }

    def pause_s(self, looks: int) -> float:  # noqa: ARG002 - of the role
        """No time passes here."""
        return 0.0

    def archive(self, name: str) -> None:
        """Remember it."""
        self.archived.append(name)

    def cancel(self, name: str) -> None:
        """End a run that has not ended."""
        if self.phases.get(name) is Phase.RUNNING:
            self.phases[name] = Phase.CANCELED

    def close(self) -> None:
        """Nothing to release."""


@dataclass
class FakeRegistry:
    """One model; versions count from 1."""

    versions: dict[str, str] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    evaluations: dict[str, Evaluation] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    cards: dict[str, str] = field(default_factory=dict)
    reports: dict[str, str] = field(default_factory=dict)
    periods: dict[str, str] = field(default_factory=dict)
    moves: list[tuple[str, str]] = field(default_factory=list)

    def register(self, run_key: str, period: str) -> str:
        """One version per run key, as step `register_model` does."""
        if run_key not in self.versions:
            self.versions[run_key] = str(len(self.versions) + 1)
            self.periods[self.versions[run_key]] = period
        return self.versions[run_key]

    def champion(self, model: str) -> Champion | None:  # noqa: ARG002 - one model
        """Whoever the alias points to."""
        version = self.aliases.get("champion")
        return Champion(version=version, period=self.periods.get(version, "")) if version else None

    def outcome(self, model: str, run_key: str) -> Outcome:  # noqa: ARG002 - one model
        """What the run left."""
        evaluation = self.evaluations.get(run_key)
        tags = self.tags.get(self.versions.get(run_key, ""), {})
        decided = json.loads(tags.get("trainer.decision", "null"))
        return Outcome(
            version=self.versions.get(run_key, ""),
            evaluation=evaluation,
            evaluation_json={"format": 1} if evaluation else {},
            failure=self.failures.get(run_key),
            decided=Verdict(decided["verdict"]) if decided else None,
            decided_run=decided["run"] if decided else "",
            rolled_back=tags.get(ROLLED_BACK_TAG, ""),
        )

    def record_decision(self, model: str, version: str, tags: Mapping[str, str]) -> None:  # noqa: ARG002 - one model
        """Write tags."""
        self.tags.setdefault(version, {}).update(tags)

    def describe(self, model: str, version: str, card: str) -> None:  # noqa: ARG002 - one model
        """Write a description."""
        self.cards[version] = card

    def keep_report(self, model: str, run_key: str, page: str) -> None:  # noqa: ARG002 - one model
        """Keep a page beside an evaluation."""
        if run_key in self.evaluations:
            self.reports[run_key] = page

    def promote(self, model: str, version: str, *, expected: str) -> str:  # noqa: ARG002 - one model
        """Compare and set, by the real protocol."""
        before = self.aliases.get("champion", "")
        if before == expected != version and (rolled_back := self.tags.get(version, {}).get(ROLLED_BACK_TAG)):
            raise RolledBackError(rolled_back)
        champion = move_champion(self, version, expected)
        if champion == version != before:
            self.moves.append((before, version))
        return champion

    def move_champion(self, model: str, version: str, *, expected: str) -> str:  # noqa: ARG002 - one model
        """The same, for a person."""
        return move_champion(self, version, expected)

    def read(self) -> Mapping[str, str]:
        """All aliases, for the protocol."""
        return dict(self.aliases)

    def point(self, alias: str, version: str) -> None:
        """Move one alias, for the protocol."""
        self.aliases[alias] = version

    def require(self, version: str) -> None:
        """Any version exists."""

    def close(self) -> None:
        """Nothing to release."""
