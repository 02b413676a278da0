"""Observe -> decide -> perform, for one model, until there is nothing left to do but wait.

    ledger ──┐
    orchestrator ──▶ observe ──▶ Snapshot ──▶ decide (pure) ──▶ Action ──▶ perform ──▶ orchestrator | registry
    registry ──┘         ▲                                                    │
                         └──────────────── ledger.advance(run) ◀──────────────┘

Why a crash at any instruction converges. Each round performs one action: one side effect, then one ledger write, in
that order. The next round, in this process or the next, looks at everything again, so only a crash between an effect
and its ledger write matters:

* submit, then RUNNING: the run is still QUEUED; `submit` finds the run by its deterministic name and adopts it. That it takes a
  slot was written before, so that no other model, in whichever process, takes the same one; it keeps it until it moves.
* cancel, then SUPERSEDED or CANCELED: that the run is to end was written down before, and nothing revokes it, not even the
  same bytes coming back meanwhile; cancelling a terminal run is no error. A run that is still QUEUED is cancelled, too: its
  submission may be what the crash came after.
* alias moved, then PROMOTED: the decision was written before the alias moved, so "the recorded decision is to promote,
  and the champion is the candidate" can only mean that the move happened; it is written down, the alias is not moved
  again, and nobody else's hand is suspected. A champion that is neither means that somebody else moved it: the evidence is
  stale, evaluate again.
* tags written, then REJECTED: the recorded decision is carried out again; the tags are the same.
* alias moved for a person, then written down: what was asked for waits until then, see `intervening`.

Writing the ledger first instead would lose the effect in the same crash. Every ledger write names the state and attempt
it was decided for and must hit exactly one row; if it does not, somebody else moved the run: look again.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, assert_never

from structlog.typing import FilteringBoundLogger

from trainer_daemon.adapters.ledger import Change, Ledger
from trainer_daemon.errors import PermanentError, RolledBackError, StaleStateError
from trainer_daemon.intervening import Intervener
from trainer_daemon.observer import Observer, Slots
from trainer_daemon.policy.actions import Action, Advance, Condemn, Doom, End, Judge, NoteChampion, Promote, Reject, Submit, Wait
from trainer_daemon.policy.answers import barred
from trainer_daemon.policy.decide import decide
from trainer_daemon.policy.interventions import Dismiss, Intervene
from trainer_daemon.policy.observations import Champion
from trainer_daemon.policy.plan import Enqueue, ModelPolicy, Revive, Settle
from trainer_daemon.policy.promotion import Decision
from trainer_daemon.policy.runs import Run, RunState
from trainer_daemon.ports import Orchestrator, Registry, RunRequest
from trainer_daemon.recording import Recorder
from trainer_daemon.telemetry.work import work_on

Clock = Callable[[], datetime]

_CIRCUMSTANCES = frozenset({"champion_version", "champion_schema", "drops"})
"""Who is champion by now, and which upload of the same bytes is read: a crash later both may be others. The key stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One configured model: what decisions depend on, and what its pipelines are given.

    Attributes:
        parameters: Root parameters that are the same for every run.
        pipeline: Trains; `training` or the path of a compiled pipeline.
        run_link: The page of a run by its id at the orchestrator; empty when there is none.
    """

    policy: ModelPolicy
    parameters: Mapping[str, Any]
    pipeline: str
    run_timeout_s: float
    run_link: Callable[[str], str] = lambda _: ""


class Reconciler:
    """Brings one model's runs to their end, action by action."""

    def __init__(
        self,
        *,
        model: Model,
        ledger: Ledger,
        orchestrator: Orchestrator,
        registry: Registry,
        slots: Slots,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self._model = model
        self._ledger = ledger
        self._orchestrator = orchestrator
        self._registry = registry
        self._slots = slots
        self._clock = clock
        self._log = log.bind(model=model.policy.name)
        self._recorder = Recorder(
            metric=model.policy.promotion.metric, ledger=ledger, registry=registry, log=self._log, run_link=model.run_link
        )
        self._intervener = Intervener(ledger, registry, self._recorder, self._log)
        self._observer = Observer(
            model=model.policy, ledger=ledger, orchestrator=orchestrator, registry=registry, slots=slots, log=self._log
        )

    def look_at_champion(self) -> None:
        """Have the next idle look ask the registry who is champion."""
        self._observer.champion_due = True

    def step(self) -> Wait | None:
        """One round: look, decide, act.

        Returns:
            None when something was done and another round is due, else until when to wait.

        Raises:
            TemporaryError: Something could not be reached; nothing has moved, try again later.
            PermanentError: Something refused.
        """
        work_on()
        now = self._clock()
        action = decide(self._observer.look(now), now)
        if isinstance(action, Wait):
            return action
        try:
            self._try(action, now)
        except StaleStateError as exc:
            self._log.info("decision_outdated", reason=str(exc))
        return None

    def _try(self, action: Action, now: datetime) -> None:
        try:
            self.perform(action, now)
        except PermanentError as exc:
            self._refused(action, exc, now)

    def perform(self, action: Action, now: datetime) -> None:  # noqa: C901, PLR0912 - one arm per action
        """Carry one action out: its side effect, then its ledger write, then its log line.

        Raises:
            StaleStateError: The ledger is no longer as it was when the action was decided.
        """
        work_on(run=getattr(action, "run", None), event=getattr(action, "event", None))
        match action:
            case Settle():
                self._settle(action)
            case Enqueue():
                run = self._ledger.enqueue(action.event, action.proposal, attempts_max=self._model.policy.attempts_max, now=now)
                work_on(run=run)
                self._log.info("run_queued", run=run.name, drop=run.drop.ref, event_id=action.event.id)
            case Revive():
                run = self._ledger.revive(action.event, action.run, why=action.why, now=now)
                self._log.info("run_queued", run=run.name, drop=run.drop.ref, reason=action.why)
            case NoteChampion():
                self._note_champion(action, now)
            case Intervene():
                self._intervener.intervene(action, now)
            case Dismiss():
                self._intervener.dismiss(action, now)
            case Submit():
                self._submit(action, now)
            case Condemn():
                self._ledger.condemn(action.run.model, action.drop, why=action.why, now=now)
                self._log.error("drop_quarantined", drop=action.drop.ref, found_by=action.run.name, reason=action.why)
            case Doom():
                self._ledger.doom(action.run, action.ending, action.why)
                self._log.debug("run_doomed", run=action.run.name, reason=action.why)
            case End():
                self._end(action, now)
            case Advance():
                self._advance(action, now)
            case Judge():
                self._ledger.record_decision(action.run, action.decision, action.outcome.evaluation_json, now)
                self._log.debug("decision_recorded", run=action.run.name, verdict=action.decision.verdict)
            case Promote():
                self._promote(action, now)
            case Reject():
                self._reject(action, now)
            case Wait():
                pass
            case _:
                assert_never(action)

    def _settle(self, action: Settle) -> None:
        self._ledger.settle(action.event, outcome=action.outcome, why=action.why, run=action.run)
        log = self._log.bind(
            event_id=action.event.id, drop=action.event.drop.ref if action.event.drop else None, reason=action.why
        )
        match action.outcome:
            case "duplicated":
                log.info("event_duplicated")
            case "superseded":
                log.info("event_superseded")
            case "skipped":
                log.info("event_skipped")
            case "rejected":
                log.warning("event_rejected")
            case _:
                assert_never(action.outcome)

    def _note_champion(self, action: NoteChampion, now: datetime) -> None:
        before = self._ledger.known_champion(self._model.policy.name)
        self._ledger.note_champion(self._model.policy.name, action.champion, cause="external" if before else "found", now=now)
        version = action.champion.version if action.champion else None
        if before:
            self._log.warning("champion_moved_externally", champion_version=version, previous_version=before.version or None)
        elif version:
            self._log.info("champion_found", champion_version=version)

    def _submit(self, action: Submit, now: datetime) -> None:
        run = action.run
        with self._slots.lock:
            if not self._slots.take(run, self._ledger):
                return
            submission = self._orchestrator.submit(self._request(run, action.champion))
            champion = action.champion.version if action.champion else ""
            change = Change(orchestrator_run=submission.run_id, error="", champion_version=champion)
            self._ledger.advance(run, RunState.RUNNING, why="submitted", now=now, change=change)
        log = self._log.bind(run=run.name, drop=run.drop.ref, attempt=run.attempt, champion_version=champion or None)
        log = log.bind(link=submission.link) if submission.link else log
        if submission.is_adopted:
            log.info("run_adopted")
        else:
            log.info("run_submitted")

    def _refused(self, action: Action, error: PermanentError, now: datetime) -> None:
        """The other side refused, and would refuse again: what was tried ends, the next one goes on."""
        match action:
            case Promote(run=run, decision=decided) if isinstance(error, RolledBackError):
                decision = barred(decided, str(error))
                self._reject(Reject(run=run, decision=decision, why=decision.reasons[0]), now)
            case Submit(run=run) | Promote(run=run) | Reject(run=run):
                change = Change(error=str(error), final=True)
                self._ledger.advance(run, RunState.FAILED, why=str(error), now=now, change=change)
                self._log.error("run_failed", run=run.name, drop=run.drop.ref, attempt=run.attempt, reason=str(error))
            case Intervene(intervention=wish):
                self._intervener.dismiss(Dismiss(intervention=wish, why=str(error)), now)
            case _:
                raise error

    def _request(self, run: Run, champion: Champion | None) -> RunRequest:
        """A run that has its model version already only needs its evidence again."""
        again = {"candidate_version": run.model_version} if run.model_version else {}
        parameters = {
            **self._model.parameters,
            "model": run.model,
            "run_key": run.key,
            "run_name": run.name,
            "attempt": run.attempt,
            "drops": [{"uri": d.uri, "generation": d.generation, "checksum": d.checksum, "period": d.period} for d in run.drops],
            "champion_version": champion.version if champion else "",
            "champion_schema": dict(champion.schema) if champion else {},
            **again,
        }
        pipeline = "evaluation" if again else self._model.pipeline
        return RunRequest(
            name=run.name,
            pipeline=pipeline,
            parameters=parameters,
            timeout_s=self._model.run_timeout_s,
            circumstances=_CIRCUMSTANCES,
        )

    def _end(self, action: End, now: datetime) -> None:
        run = action.run
        if run.state in {RunState.RUNNING, RunState.QUEUED}:  # one that is queued may have been submitted before a crash
            self._orchestrator.cancel(run.name)
        if action.to is RunState.SUPERSEDED and run.orchestrator_run:
            # it is only put out of sight
            with suppress(PermanentError):
                self._orchestrator.archive(run.name)
        self._recorder.tag_ending(run, action.to)
        change = Change(error=action.why, reopen_event=action.again, keep_events=action.passed_over)
        self._ledger.advance(run, action.to, why=action.why, now=now, change=change)
        event = "run_superseded" if action.to is RunState.SUPERSEDED else "run_canceled"
        self._log.info(event, run=run.name, drop=run.drop.ref, reason=action.why)

    def _advance(self, action: Advance, now: datetime) -> None:
        run = action.run
        if action.to in {RunState.SUPERSEDED, RunState.CANCELED, RunState.QUARANTINED}:
            self._recorder.tag_ending(run, action.to)
        if run.decision is not None and action.to in {RunState.AWAITING_APPROVAL, RunState.PROMOTED}:
            self._recorder.tell(run, run.decision, action.to, now=now, why=action.why)
        change = Change(
            error=action.why if action.to in {RunState.FAILED, RunState.QUARANTINED, RunState.SUPERSEDED} else None,
            model_version=action.outcome.version if action.outcome else None,
            ready_at=action.retry_at,
            next_attempt=action.next_attempt,
            # it did not fail, or not through its own fault, so it costs none
            extra_attempt=action.excused or (action.next_attempt and run.state is not RunState.FAILED),
            is_news=not action.is_old,
        )
        self._ledger.advance(run, action.to, why=action.why, now=now, change=change)
        self._log_advance(action)

    def _log_advance(self, action: Advance) -> None:  # noqa: C901 - one arm per state
        run = action.run
        log = self._log.bind(run=run.name, drop=run.drop.ref, attempt=run.attempt, reason=action.why)
        match action.to:
            case RunState.TRAINED:
                log.info("run_trained", model_version=action.outcome.version if action.outcome else None)
            case RunState.QUARANTINED:
                log.error("drop_quarantined")
            case RunState.FAILED if action.excused or run.attempt < run.attempts_max:
                log.warning("run_failed", attempts_max=run.attempts_max)
            case RunState.FAILED:
                log.error("run_failed", attempts_max=run.attempts_max)
            case RunState.CANCELED:
                log.warning("run_canceled")
            case RunState.SUPERSEDED:
                log.info("run_superseded")
            case RunState.AWAITING_APPROVAL:
                log.warning("approval_requested", model_version=run.model_version)
            case RunState.QUEUED if run.state in {RunState.TRAINED, RunState.AWAITING_APPROVAL}:
                log.warning("run_reevaluated")
            case RunState.QUEUED if run.state is RunState.RUNNING and not action.next_attempt:
                log.warning("run_lost")
            case RunState.PROMOTED | RunState.REJECTED:
                event = "candidate_promoted" if action.to is RunState.PROMOTED else "candidate_rejected"
                log.info(event, model_version=run.model_version)
            case _:
                log.info("run_queued")

    def _promote(self, action: Promote, now: datetime) -> None:
        run, decision = action.run, action.decision
        if not action.has_moved:
            self._require_wanted(run)
        self._recorder.tag(run, decision)
        if not (action.has_moved or self._move_champion(run, decision)):
            return
        found = self._registry.champion(run.model)
        is_there = found is not None and found.version == decision.candidate_version
        ours = found if found and is_there else Champion(version=decision.candidate_version, run_key=run.key, period=run.period)
        self._recorder.tell(run, decision, RunState.PROMOTED, now=now, why=action.why)
        self._ledger.promoted(run, ours, why=action.why or "; ".join(decision.reasons), now=now)
        self._log.info(
            "candidate_promoted",
            run=run.name,
            drop=run.drop.ref,
            model_version=decision.candidate_version,
            previous_version=decision.champion_version or None,
            reasons=decision.reasons,
        )

    def _move_champion(self, run: Run, decision: Decision) -> bool:
        """Compare, set, and say whether it is there now. Once it has been there, somebody else's hand alone may move it back."""
        self._require_wanted(run)
        champion = self._registry.promote(run.model, decision.candidate_version, expected=decision.champion_version)
        if champion == decision.candidate_version:
            return True
        self._log.warning(
            "promotion_refused", run=run.name, champion_version=champion, expected_version=decision.champion_version or None
        )
        return False

    def _require_wanted(self, run: Run) -> None:
        """Newer bytes, or an operator's wish to end it, may have been recorded while the registry was asked: they come first."""
        now_there = self._ledger.current(run.model, [drop.uri for drop in run.drops])
        if any(now_there.get(drop.uri, drop).checksum != drop.checksum for drop in run.drops):
            msg = f"newer bytes arrived for run {run.name}"
            raise StaleStateError(msg)
        if self._ledger.run(run.key).ending is not None:
            msg = f"run {run.name} is to end"
            raise StaleStateError(msg)

    def _reject(self, action: Reject, now: datetime) -> None:
        run, decision = action.run, action.decision
        self._recorder.tag(run, decision)
        self._recorder.tell(run, decision, RunState.REJECTED, now=now, why=action.why)
        why = action.why or "; ".join(decision.reasons)
        self._ledger.advance(run, RunState.REJECTED, why=why, now=now, change=Change(error=action.why or None))
        self._log.info(
            "candidate_rejected",
            run=run.name,
            drop=run.drop.ref,
            model_version=decision.candidate_version or None,
            champion_version=decision.champion_version or None,
            reasons=decision.reasons,
        )
