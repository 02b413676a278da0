"""Parts with one bug each, to see that the simulator finds it; each class replaces the part it derives from."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from datetime import datetime
from typing import Self

from tests.simulation.clocks import Clocks
from tests.simulation.ledger import SimulatedLedger
from tests.simulation.replica import Makers
from tests.simulation.services import Cluster, SimulatedRegistry
from trainer_daemon.adapters.ledger import Change
from trainer_daemon.adapters.ledger.leasing import Fence
from trainer_daemon.intake import Intake, Listing
from trainer_daemon.leases import Leases
from trainer_daemon.policy.actions import Action, Doom, End, Judge, Promote
from trainer_daemon.policy.events import DatasetVersion, Event, Rejection, Source
from trainer_daemon.policy.interventions import Intervene
from trainer_daemon.policy.leases import Lease
from trainer_daemon.policy.marks import ROLLED_BACK_TAG
from trainer_daemon.policy.observations import Champion, Outcome, Phase, Verdict
from trainer_daemon.policy.runs import Run, RunState
from trainer_daemon.ports import Delivery, RunRequest, Submission
from trainer_daemon.reconciler import Reconciler
from trainer_daemon.subscriber import Subscriber

_CHAMPIONS = {
    "alias_and_ledger_agree",
    "nobody_is_suspected_falsely",
    "promotions_replace_whom_they_were_decided_against",
    "promotions_are_moves",
}
_PROMOTIONS = {"replaced_bytes_are_never_promoted", "ended_runs_are_never_promoted"}
_EVENTS = {"acknowledged_messages_are_recorded", "every_version_is_recorded_once", "every_drop_is_found"}


class AcksFirst(Subscriber):
    """Acknowledges what it has not written down yet."""

    def _record(self) -> bool:
        taken: Sequence[Delivery] = self._held or self._subscription.take(500)
        self._held = ()
        if taken:
            self._subscription.ack(taken)
            self._inbox.receive([delivery.message for delivery in taken])
        return bool(taken)


class NeverFinds(Cluster):
    """Does not look for a run of the same name before it starts one."""

    def submit(self, request: RunRequest) -> Submission:
        """Start a run."""
        self.requests[request.name] = request
        self.phases[request.name] = Phase.RUNNING
        self.execute(request)
        return Submission(run_id=request.name)


class SetsBlindly(SimulatedRegistry):
    """Moves the alias wherever it is."""

    def promote(self, model: str, version: str, *, expected: str) -> str:
        """Set, without comparing."""
        del model, expected
        before = self.aliases.get("champion", "")
        self.aliases["champion"] = version
        if before != version:
            self.moves.append((before, version))
        return version


class WritesPromotionFirst(Reconciler):
    """Writes PROMOTED before the alias has moved."""

    def _promote(self, action: Promote, now: datetime) -> None:
        run, version = action.run, action.decision.candidate_version
        self._ledger.promoted(run, Champion(version=version, run_key=run.key, period=run.period), why="better", now=now)
        self._registry.promote(run.model, version, expected=action.decision.champion_version)
        self._log.info("candidate_promoted", run=run.name)


class EndsFirst(Reconciler):
    """Writes SUPERSEDED or CANCELED before the run on the orchestrator has ended."""

    def _end(self, action: End, now: datetime) -> None:
        run = action.run
        self._ledger.advance(run, action.to, why=action.why, now=now, change=Change(error=action.why, reopen_event=action.again))
        self._log.info("run_superseded" if action.to is RunState.SUPERSEDED else "run_canceled", run=run.name)
        self._orchestrator.cancel(run.name)


class NeverDooms(Reconciler):
    """Ends a run without having written down that it is to end."""

    def perform(self, action: Action, now: datetime) -> None:
        """Turn the one into the other."""
        if isinstance(action, Doom):
            action = End(run=action.run, to=action.ending, why=action.why)
        super().perform(action, now)


class PromotesUnwritten(Reconciler):
    """Acts on a judgement that is not in the ledger yet."""

    def perform(self, action: Action, now: datetime) -> None:
        """Promote at once, write afterwards."""
        if isinstance(action, Judge) and action.decision.verdict is Verdict.PROMOTE:
            decision = action.decision
            self._registry.promote(action.run.model, decision.candidate_version, expected=decision.champion_version)
        super().perform(action, now)


class NeverLooksAgain(Reconciler):
    """Promotes what was current when it looked, not what is current now."""

    def _require_wanted(self, run: Run) -> None:
        """Trust the look."""


class RemembersChampion(Reconciler):
    """Asks the registry who is champion once, and never again while nothing is trained."""

    def look_at_champion(self) -> None:
        """It was asked before."""


class WritesInterventionFirst(Reconciler):
    """Writes down that an operator was obeyed before the alias has moved."""

    def perform(self, action: Action, now: datetime) -> None:
        """Obey afterwards."""
        if not isinstance(action, Intervene):
            super().perform(action, now)
            return
        wish = action.intervention
        self._ledger.intervened(wish, Champion(version=wish.version), replaced=action.expected, now=now)
        self._registry.move_champion(wish.model, wish.version, expected=action.expected)


class ForgetsWhatWasTakenBack(SimulatedRegistry):
    """Does not know the mark on a version that a person rolled back."""

    def outcome(self, model: str, run_key: str) -> Outcome:
        """Without it."""
        return replace(super().outcome(model, run_key), rolled_back="")

    def promote(self, model: str, version: str, *, expected: str) -> str:
        """Without looking at it."""
        mark = self.tags.get(version, {}).pop(ROLLED_BACK_TAG, "")
        try:
            return super().promote(model, version, expected=expected)
        finally:
            if mark:
                self.tags[version][ROLLED_BACK_TAG] = mark


class RenamesEvents(SimulatedLedger):
    """Has a new id for whatever is received again."""

    def record(self, batch: Sequence[Event | Rejection], now: datetime) -> list[bool]:
        """Write everything down as new."""
        return super().record([_renamed(entry, now) for entry in batch], now)


def _renamed(entry: Event | Rejection, now: datetime) -> Event | Rejection:
    return replace(entry, id=f"{entry.id}@{now.isoformat()}") if isinstance(entry, Event) else entry


class ForgetsCorrections(SimulatedLedger):
    """Does not know that newer bytes have replaced those of a run that was trained."""

    def current(self, model: str, uris: Sequence[str]) -> dict[str, DatasetVersion]:
        """Whatever the runs trained on."""
        found = super().current(model, uris)
        trained = [drop for run in self.live_runs(model) if run.state is RunState.TRAINED for drop in run.drops]
        return found | {drop.uri: drop for drop in trained if drop.uri in found}


class ForgetsAttempts(SimulatedLedger):
    """A retry does not count as another attempt."""

    def advance(self, run: Run, to: RunState, *, why: str, now: datetime, change: Change | None = None) -> None:
        """Leave the attempt as it is."""
        if run.state is RunState.FAILED and change is not None:
            change = replace(change, next_attempt=False)
        super().advance(run, to, why=why, now=now, change=change)


class BelievesAnything(SimulatedRegistry):
    """Hands out the evidence of an earlier attempt as if it were that of the present one."""

    def outcome(self, model: str, run_key: str) -> Outcome:
        """The evaluation as it is wanted."""
        found = super().outcome(model, run_key)
        if found.evaluation is None:
            return found
        champion = self.aliases.get("champion", "")
        return replace(found, evaluation=replace(found.evaluation, champion_version=champion), evaluation_json={})


class ListsOnce(Intake):
    """Trusts notifications, once the bucket was listed."""

    def list_bucket(self, source: Source) -> Listing:
        """Find nothing."""
        if self._ledger.baseline(self._model) is not None:
            return Listing(recorded=0, incomplete=0)
        return super().list_bucket(source)


class TrustsTheStream(Subscriber):
    """Never opens another stream."""

    def _reopen(self) -> float:
        return self._quiet_s if self._alive_at is not None else super()._reopen()


class NeverFences(SimulatedLedger):
    """Lets anybody write who has ever held a lease."""

    def fenced(self, fence: Fence) -> Self:
        """The same ledger."""
        del fence
        return self


class ConfirmsAfterwards(Leases):
    """Acts under the lease that it had when it looked; that it is held no longer is noticed when it is renewed."""

    def confirm(self, lease: Lease) -> None:
        """Trust the look."""


class TakesAnyLease(SimulatedLedger):
    """Takes a lease from somebody who still holds it."""

    def take_leases(self, holder: str, models: Sequence[str], *, lease_s: float, from_others: bool = False) -> tuple[Lease, ...]:
        """Take it as if nobody had it."""
        del from_others
        return super().take_leases(holder, models, lease_s=lease_s, from_others=True)


class HearsOnlyItsOwn(SimulatedLedger):
    """Does not know which drops a notification told another daemon of."""

    def announced(self, event_ids: Sequence[str]) -> frozenset[str]:
        """None."""
        del event_ids
        return frozenset()


def by_wall_clock(clocks: Clocks, number: int) -> float:
    """Count the seconds of a lease by a clock that somebody may set back."""
    return clocks.wall(number).timestamp()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """A seeded bug.

    Attributes:
        makers: The parts, one of them with the bug.
        breaks: The promises that it may break.
        histories: Within so many it must be found.
        first: Number of the first of them; a bug that takes a thousand is looked for where it is known to show.
        replicas: How many daemons there are.
    """

    makers: Makers
    breaks: frozenset[str]
    histories: int
    first: int = 0
    replicas: int = 1

    @property
    def name(self) -> str:
        """The name of the part that has it."""
        return str(next(part.__name__ for part in astuple(self.makers) if part.__module__ == __name__))


BUGS: tuple[Bug, ...] = (
    Bug(makers=Makers(subscriber=AcksFirst), breaks=frozenset({"acknowledged_messages_are_recorded"}), histories=20),
    Bug(makers=Makers(cluster=NeverFinds), breaks=frozenset({"names_are_executed_once"}), histories=50),
    Bug(makers=Makers(registry=SetsBlindly), breaks=frozenset(_CHAMPIONS), histories=100, first=2000),
    Bug(makers=Makers(reconciler=WritesPromotionFirst), breaks=frozenset(_CHAMPIONS), histories=100),
    Bug(
        makers=Makers(reconciler=EndsFirst),
        breaks=frozenset({"ended_runs_do_not_run", "one_run_at_a_time", "tags_agree"}),
        histories=100,
        first=100,
    ),
    Bug(makers=Makers(reconciler=NeverDooms), breaks=frozenset({"every_drop_has_an_outcome"}), histories=400),
    Bug(makers=Makers(reconciler=PromotesUnwritten), breaks=frozenset({"promotions_are_decided_first"}), histories=20),
    Bug(makers=Makers(reconciler=NeverLooksAgain), breaks=frozenset(_PROMOTIONS), histories=100, first=100),
    Bug(makers=Makers(reconciler=RemembersChampion), breaks=frozenset({"alias_and_ledger_agree"}), histories=100, first=100),
    Bug(
        makers=Makers(reconciler=WritesInterventionFirst),
        breaks=frozenset({*_CHAMPIONS, "operators_are_asked_first", "operators_are_heard_once"}),
        histories=50,
    ),
    Bug(makers=Makers(ledger=RenamesEvents), breaks=frozenset(_EVENTS), histories=20),
    Bug(
        makers=Makers(ledger=ForgetsCorrections),
        breaks=frozenset({*_PROMOTIONS, "every_drop_has_an_outcome", "everything_comes_to_rest"}),
        histories=100,
        first=200,
    ),
    Bug(makers=Makers(ledger=ForgetsAttempts), breaks=frozenset({"everything_comes_to_rest"}), histories=50),
    Bug(makers=Makers(registry=BelievesAnything), breaks=frozenset({"promotions_have_evidence"}), histories=50),
    Bug(makers=Makers(intake=ListsOnce), breaks=frozenset({"every_drop_is_found"}), histories=20),
    Bug(makers=Makers(subscriber=TrustsTheStream), breaks=frozenset({"everything_comes_to_rest"}), histories=50),
    Bug(makers=Makers(ledger=NeverFences), breaks=frozenset({"only_holders_write"}), histories=100, replicas=2),
    Bug(makers=Makers(leases=ConfirmsAfterwards), breaks=frozenset({"only_holders_act"}), histories=100, replicas=2),
    Bug(makers=Makers(ledger=TakesAnyLease), breaks=frozenset({"one_holder_at_a_time"}), histories=20, replicas=2),
    Bug(makers=Makers(ledger=HearsOnlyItsOwn), breaks=frozenset({"no_drop_is_missed_falsely"}), histories=20, replicas=2),
    Bug(makers=Makers(tick=by_wall_clock), breaks=frozenset({"one_holder_at_a_time"}), histories=100, replicas=2),
)
