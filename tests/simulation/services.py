"""Orchestrator and registry of a simulated history, with the pipelines that run on the one and write into the other."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fakes import FakeOrchestrator, FakeRegistry
from tests.simulation.choices import MONTHS
from tests.simulation.storage import Storage
from trainer_daemon.errors import PermanentError
from trainer_daemon.policy.interventions import Intervention
from trainer_daemon.policy.marks import ROLLED_BACK_TAG
from trainer_daemon.policy.observations import Evaluation, Failure, Phase
from trainer_daemon.ports import RunRequest, Submission

HOLDOUT_ROWS = 200
FOREIGN_LOSS = 0.57


@dataclass
class SimulatedRegistry(FakeRegistry):
    """The registry of one model.

    Attributes:
        losses: Log loss of each version.
        by_hand: Versions that somebody pointed the alias to; empty for somebody who took it away.
        deleted: Versions that are gone.
        created: How many versions were made for each run key.
        asked: What operators wanted of the champion.
        story: Who moved the alias from where to where: a `run`, an `operator` or a `hand`; and what was marked as taken back.
    """

    losses: dict[str, float] = field(default_factory=dict)
    by_hand: list[str] = field(default_factory=list)
    deleted: set[str] = field(default_factory=set)
    created: Counter[str] = field(default_factory=Counter)
    numbers: int = 0
    asked: list[Intervention] = field(default_factory=list)
    story: list[tuple[str, str, str]] = field(default_factory=list)

    def register(self, run_key: str, period: str) -> str:
        """As step `register_model` does: search by run key, else create."""
        if run_key not in self.versions:
            self.numbers += 1
            self.created[run_key] += 1
            self.versions[run_key] = str(self.numbers)
            self.periods[self.versions[run_key]] = period
        return self.versions[run_key]

    def key_of(self, version: str) -> str:
        """The run key of a version, empty for somebody else's."""
        return next((key for key, found in self.versions.items() if found == version), "")

    def promote(self, model: str, version: str, *, expected: str) -> str:
        """Compare and set; a version that is gone cannot be champion."""
        if version not in self.versions.values():
            message = f"version {version} does not exist"
            raise PermanentError(message)
        before = self.aliases.get("champion", "")
        champion = super().promote(model, version, expected=expected)
        self._tell("run", before)
        return champion

    def move_champion(self, model: str, version: str, *, expected: str) -> str:
        """The same, for a person."""
        if version not in self.versions.values():
            message = f"version {version} does not exist"
            raise PermanentError(message)
        before = self.aliases.get("champion", "")
        champion = super().move_champion(model, version, expected=expected)
        self._tell("operator", before)
        return champion

    def record_decision(self, model: str, version: str, tags: Mapping[str, str]) -> None:
        """Write tags."""
        super().record_decision(model, version, tags)
        if tags.get(ROLLED_BACK_TAG):
            self.story.append(("mark", "", version))

    def _tell(self, who: str, before: str) -> None:
        now = self.aliases.get("champion", "")
        if now != before:
            self.story.append((who, before, now))

    def move_by_hand(self, which: int) -> None:
        """Somebody points the alias to one of the versions, or registers one of their own for it."""
        known = sorted(self.versions.values(), key=int)
        version = known[which % (len(known) + 1)] if which % (len(known) + 1) < len(known) else self._foreign()
        before = self.aliases.get("champion", "")
        self.aliases["champion"] = version
        self.by_hand.append(version)
        self._tell("hand", before)

    def delete_champion(self) -> None:
        """Its version goes, and the alias with it."""
        version = self.aliases.pop("champion", "")
        if version:
            self.created[self.key_of(version)] -= 1
            self.versions = {key: found for key, found in self.versions.items() if found != version}
            self.deleted.add(version)
            self.by_hand.append("")

    def _foreign(self) -> str:
        """A version that no run of ours made."""
        version = self.register(f"foreign-{self.numbers}", "")
        self.losses[version] = FOREIGN_LOSS
        return version


@dataclass
class Execution:
    """A pipeline that runs.

    Attributes:
        stage: 0 until it has read its drops, 1 until it has evaluated and registered, 2 until it ends.
    """

    request: RunRequest
    stage: int = 0


@dataclass
class Cluster(FakeOrchestrator):
    """An orchestrator that executes the pipelines submitted to it, stage by stage.

    Attributes:
        running: By name of the run.
        executed: How often each name was executed.
        starts: How often any was.
        vanished: How often each name was deleted.
        broken: Links that do not work, of the runs too.
    """

    storage: Storage = field(default_factory=Storage)
    registry: SimulatedRegistry = field(default_factory=SimulatedRegistry)
    broken: set[str] = field(default_factory=set)
    running: list[Execution] = field(default_factory=list)
    executed: Counter[str] = field(default_factory=Counter)
    vanished: Counter[str] = field(default_factory=Counter)
    starts: int = 0

    def submit(self, request: RunRequest) -> Submission:
        """Start a run unless its name is taken."""
        submission = super().submit(request)
        if not submission.is_adopted:
            self.execute(request)
        return submission

    def execute(self, request: RunRequest) -> None:
        """Start it."""
        self.starts += 1
        self.executed[request.name] += 1
        self.running.append(Execution(request=request))

    def cancel(self, name: str) -> None:
        """End a run that has not ended."""
        super().cancel(name)
        self._forget(name)

    def vanish(self, which: int) -> None:
        """Somebody deletes a run, whether or not it has ended."""
        names = [name for name, phase in self.phases.items() if phase is not Phase.VANISHED]
        if names:
            name = names[which % len(names)]
            self.phases[name] = Phase.VANISHED
            self.vanished[name] += 1
            self._forget(name)

    def progress(self, which: int) -> None:
        """One stage of one run."""
        if not self.running:
            return
        execution = self.running[which % len(self.running)]
        match execution.stage:
            case 0:
                self._read(execution)
            case 1:
                self._evaluate(execution)
            case _:
                self._end(execution, Phase.SUCCEEDED)
        execution.stage += 1

    def fail(self, which: int) -> None:
        """A run fails for no reason of ours."""
        if self.running:
            self._fail(self.running[which % len(self.running)], "error", "the node went away")

    def leave_nothing(self, which: int) -> None:
        """A run succeeds without evidence."""
        if self.running:
            self._end(self.running[which % len(self.running)], Phase.SUCCEEDED)

    def _read(self, execution: Execution) -> None:
        if "run-bucket" in self.broken:
            self._fail(execution, "error", "the bucket does not answer")
            return
        for drop in execution.request.parameters["drops"]:
            stored = self.storage.objects[drop["uri"]]
            if stored.drop.checksum != drop["checksum"]:
                self._fail(
                    execution,
                    "drop_changed",
                    f"{drop['uri']} holds other bytes",
                    drop=_ref(execution.request.parameters["drops"][-1]),
                )
                return
            if stored.is_bad:
                self._fail(execution, "bad_drop", f"{drop['uri']} has no column Churn", drop=_ref(drop))
                return

    def _evaluate(self, execution: Execution) -> None:
        """As steps `evaluate_model` and `register_model` do, and pipeline `evaluation`."""
        parameters = execution.request.parameters
        if "run-registry" in self.broken:
            self._end(execution, Phase.FAILED)
            return
        key = parameters["run_key"]
        again = parameters.get("candidate_version")
        if again and again in self.registry.deleted:
            self._fail(execution, "error", f"version {again} is gone")
            return
        self.registry.evaluations[key] = self._scores(parameters)
        version = again or self.registry.register(key, parameters["drops"][-1]["period"])
        self.registry.losses[version] = _loss(parameters)

    def _scores(self, parameters: Any) -> Evaluation:  # noqa: ANN401 - parameters are JSON
        champion = parameters["champion_version"]
        lost = champion in self.registry.deleted
        metrics = {"log_loss": self.registry.losses[champion], "roc_auc": 0.8} if champion and not lost else {}
        return Evaluation(
            run_key=parameters["run_key"],
            attempt=parameters["attempt"],
            holdout_rows=HOLDOUT_ROWS,
            candidate={"log_loss": _loss(parameters), "roc_auc": 0.8},
            champion_version=champion,
            champion=metrics,
            champion_error="it is gone" if lost else "",
        )

    def _fail(self, execution: Execution, kind: str, reason: str, *, drop: str = "") -> None:
        parameters = execution.request.parameters
        if "run-registry" not in self.broken:
            step = "load_and_preprocess_data"
            failure = Failure(attempt=parameters["attempt"], step=step, kind=kind, reason=reason, drop=drop)
            self.registry.failures[parameters["run_key"]] = failure
        self.reasons[execution.request.name] = reason
        self._end(execution, Phase.FAILED)

    def _end(self, execution: Execution, phase: Phase) -> None:
        self.phases[execution.request.name] = phase
        self.running = [other for other in self.running if other is not execution]

    def _forget(self, name: str) -> None:
        self.running = [execution for execution in self.running if execution.request.name != name]


def _ref(drop: Any) -> str:  # noqa: ANN401 - parameters are JSON
    return f"{drop['uri']}#{drop['generation']}"


def _loss(parameters: Any) -> float:  # noqa: ANN401 - parameters are JSON
    """Later months are better, but some contents are worse."""
    drop = parameters["drops"][-1]
    content = int(drop["checksum"].split(":")[1][:6])
    return 0.6 - 0.02 * MONTHS.index(drop["period"]) + 0.015 * (content * 7 % 5)
