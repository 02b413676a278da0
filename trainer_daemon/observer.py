"""Looks at ledger, orchestrator and registry, and returns what was seen as one Snapshot; changes nothing."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from structlog.typing import FilteringBoundLogger

from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.policy.decide import Snapshot, wanted
from trainer_daemon.policy.events import Event
from trainer_daemon.policy.observations import Champion, Observation, Outcome, Phase
from trainer_daemon.policy.plan import ModelPolicy, Pending, propose
from trainer_daemon.policy.runs import Run, RunState
from trainer_daemon.ports import Orchestrator, Registry
from trainer_daemon.telemetry.work import work_on


class Slots:
    """How many runs may be open over all models of a ledger, whichever daemons work on it.

    Submissions of one daemon go one by one, by `lock`: the first run of a pipeline also uploads it.

    Args:
        ledger: Counts.
        maximum: Runs at the same time.
        models: Those that are configured; what another one left open occupies nothing.
    """

    def __init__(self, ledger: Ledger, maximum: int, models: Sequence[str]) -> None:
        self._ledger = ledger
        self._maximum = maximum
        self._models = models
        self.lock = threading.Lock()

    def free(self, model: str) -> int:
        """Slots left for a model that has no open run; at this moment, somebody may take one at the next."""
        return self._maximum - self._ledger.occupied([other for other in self._models if other != model])

    def take(self, run: Run, ledger: Ledger) -> bool:
        """Have a run that is submitted next count as open, if there is a slot left for it.

        Args:
            run: As it was seen.
            ledger: Of whoever may act for the run's model.
        """
        return ledger.take_slot(run, models=self._models, maximum=self._maximum)


class Observer:
    """One model's eyes; what the next decision does not need is not looked at: the registry costs a process, a run a call.

    Attributes:
        champion_due: The next idle look asks the registry who is champion.
    """

    def __init__(
        self,
        *,
        model: ModelPolicy,
        ledger: Ledger,
        orchestrator: Orchestrator,
        registry: Registry,
        slots: Slots,
        log: FilteringBoundLogger,
    ) -> None:
        self._policy = model
        self._ledger = ledger
        self._orchestrator = orchestrator
        self._registry = registry
        self._slots = slots
        self._log = log
        self._unknown_state = ("", "")
        self.champion_due = True

    def look(self, now: datetime) -> Snapshot:
        """See everything that the next decision needs.

        Raises:
            TemporaryError: Something could not be reached.
        """
        snapshot = self._read_ledger(now)
        _announce(snapshot)
        look = wanted(snapshot, now)
        run = snapshot.open_run
        observation = self._observe_run(run) if run and look.orchestrator else None
        ended = observation is not None and observation.phase in {Phase.SUCCEEDED, Phase.FAILED}
        outcome = self._registry.outcome(run.model, run.key) if run and (look.outcome or ended) else None
        look_at_champion = look.champion or _blames_the_drop(outcome)
        champion = (self._registry.champion(self._policy.name),) if look_at_champion else None
        self.champion_due = self.champion_due and not look_at_champion
        seen = observation or outcome or champion
        return replace(snapshot, observation=observation, outcome=outcome, champion=champion) if seen else snapshot

    def _read_ledger(self, now: datetime) -> Snapshot:
        name = self._policy.name
        runs = self._ledger.live_runs(name)
        event = self._ledger.next_pending(name)
        uris = sorted({drop.uri for run in runs for drop in run.drops})
        windows = sorted({drop.uri for run in runs for drop in run.drops[:-1]})
        known_champion = self._ledger.known_champion(name)
        return Snapshot(
            policy=self._policy,
            runs=runs,
            pending=self._pending(event) if event else None,
            intervention=self._ledger.next_intervention(name),
            current=self._ledger.current(name, uris) if uris else {},
            bad=self._ledger.bad_drops(name, windows) if windows else frozenset(),
            known_champion=known_champion,
            last_champion=self._last_champion(known_champion),
            slots=self._slots.free(name) if any(run.state is RunState.QUEUED and run.is_ready(now) for run in runs) else 0,
            champion_due=self.champion_due,
        )

    def _last_champion(self, known: Champion | None) -> str:
        """Only when nobody is champion any more the ledger has to be asked who was."""
        if known is None or known.version:
            return known.version if known else ""
        return self._ledger.last_champion(self._policy.name)

    def _pending(self, event: Event) -> Pending:
        """The event with what the ledger knows around it."""
        policy = self._policy
        alone = event.drop is not None and policy.window_months == 1
        known = () if alone else self._ledger.newest_drops(policy.name, policy.window_months)
        if event.drop and policy.window_months > 1:
            known = (*known, *self._ledger.newest_drops(policy.name, policy.window_months + 1, up_to=event.drop.period))
        is_correction = (
            event.drop is not None and policy.window_months > 1 and self._ledger.is_correction(policy.name, event.drop)
        )
        proposal = propose(event, policy, tuple(dict.fromkeys(known)), is_correction=is_correction)
        same_key = self._ledger.find_run(proposal.key) if proposal else None
        return Pending(
            event=event,
            current=self._ledger.current(policy.name, [event.drop.uri]).get(event.drop.uri) if event.drop else None,
            proposal=proposal,
            same_key=same_key,
            same_content=self._ledger.runs_for_content(policy.name, proposal.drop) if proposal and not same_key else (),
        )

    def _observe_run(self, run: Run) -> Observation:
        observation = self._orchestrator.observe([run.name])[run.name]
        if observation.phase is Phase.UNKNOWN and self._unknown_state != (run.name, observation.reason):
            self._unknown_state = (run.name, observation.reason)  # said once, however often it is looked at
            self._log.warning("run_state_unknown", run=run.name, reason=observation.reason)
        return observation


def _announce(snapshot: Snapshot) -> None:
    """What cannot be reached from here on holds up the open run, or else the next event, or else the next run of the backlog."""
    event = snapshot.pending.event if snapshot.pending else None
    work_on(run=snapshot.open_run or (None if event else next(iter(snapshot.runs), None)), event=event)


def _blames_the_drop(outcome: Outcome | None) -> bool:
    return outcome is not None and outcome.failure is not None and outcome.failure.kind == "bad_drop"
