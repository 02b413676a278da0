"""The next action for one model, computed from one look at the world. Pure: the same snapshot always yields the same action."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import assert_never

from trainer_daemon.policy import approval, interventions
from trainer_daemon.policy.actions import Action, Advance, Condemn, Doom, End, Judge, NoteChampion, Promote, Reject, Submit, Wait
from trainer_daemon.policy.events import DatasetVersion
from trainer_daemon.policy.failures import is_full_disk
from trainer_daemon.policy.interventions import Intervention
from trainer_daemon.policy.observations import Champion, Failure, Observation, Outcome, Phase, Verdict
from trainer_daemon.policy.plan import ModelPolicy, Pending, plan
from trainer_daemon.policy.promotion import Case, judge
from trainer_daemon.policy.runs import OPEN, Run, RunState

RETRY_BACKOFF_S_MAX = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One look at one model. What was not looked at is None; `wanted` says what has to be looked at.

    Attributes:
        runs: Runs that something is still to happen to, by period, then arrival.
        pending: The oldest event that nobody has acted on yet.
        intervention: The oldest of what people asked for and nobody has carried out yet.
        current: What is there now under each URI that a run of `runs` uses.
        bad: URI and checksum of the quarantined drops among those in windows.
        known_champion: What the ledger last knew as champion; None before the first look at the registry.
        last_champion: The last version that the ledger knew as champion, whether or not it still is.
        champion: The champion as the registry has it now, inside a one-tuple: `(None,)` means there is none.
        observation: The orchestrator's word on the open run.
        outcome: What the open run has left in the registry.
        slots: How many more runs may be started, over all models.
        champion_due: The registry has not been looked at for long; somebody may have moved the alias by hand.
    """

    policy: ModelPolicy
    runs: tuple[Run, ...] = ()
    pending: Pending | None = None
    intervention: Intervention | None = None
    current: Mapping[str, DatasetVersion] = field(default_factory=dict)
    bad: frozenset[tuple[str, str]] = frozenset()
    known_champion: Champion | None = None
    last_champion: str = ""
    champion: tuple[Champion | None] | None = None
    observation: Observation | None = None
    outcome: Outcome | None = None
    slots: int = 1
    champion_due: bool = False

    @property
    def champion_version(self) -> str:
        """Who is champion in the registry; empty for nobody, or when it was not looked at."""
        return self.champion[0].version if self.champion and self.champion[0] else ""

    @property
    def open_run(self) -> Run | None:
        """The run that occupies the model."""
        return next((run for run in self.runs if run.state in OPEN), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which parts of the world a decision needs; looking costs, so nothing else is looked at."""

    orchestrator: bool = False
    outcome: bool = False
    champion: bool = False


def wanted(snapshot: Snapshot, now: datetime) -> Wanted:
    """What has to be looked at before `decide` can be asked, given the ledger's part of a snapshot."""
    if snapshot.intervention is not None:
        return Wanted(champion=True)  # so that an orchestrator that is down does not hold a person up
    look = _wanted(snapshot, now)
    return replace(look, champion=True) if any(map(approval.is_approved, snapshot.runs)) else look


def _wanted(snapshot: Snapshot, now: datetime) -> Wanted:
    run = snapshot.open_run
    if run is not None and run.state is RunState.RUNNING:
        return Wanted(orchestrator=True)
    if run is not None and run.state is RunState.TRAINED:
        return Wanted(outcome=run.decision is None, champion=True)
    if snapshot.pending is not None:
        return Wanted()
    if _next_queued(snapshot, now) is not None:
        return Wanted(champion=snapshot.known_champion is None)
    return Wanted(champion=snapshot.champion_due)


def decide(snapshot: Snapshot, now: datetime) -> Action:
    """The next action; total. Earlier lines win: people, what must stop, what arrived, what goes on, what starts."""
    return (
        _finish_intervention(snapshot)
        or _finish_promotion(snapshot)
        or _note_champion(snapshot)
        or _intervene(snapshot)
        or _retry(snapshot, now)
        or _end_unwanted(snapshot)
        or _conclude_waiting(snapshot, now)
        or (plan(snapshot.pending) if snapshot.pending else None)
        or _go_on(snapshot, now)
        or _until_expiry(_start(snapshot, now), snapshot)
    )


def _finish_intervention(snapshot: Snapshot) -> Action | None:
    known = snapshot.known_champion
    if known is None or snapshot.champion is None:
        return None
    return interventions.finish(snapshot.intervention, snapshot.champion_version, known.version)


def _intervene(snapshot: Snapshot) -> Action | None:
    return interventions.conclude(snapshot.intervention, snapshot.champion_version) if snapshot.champion else None


def _finish_promotion(snapshot: Snapshot) -> Action | None:
    """A crash between moving the alias and writing it down: the alias is where the recorded decision wanted it."""
    champion = snapshot.champion[0] if snapshot.champion else None
    promotions = (_promotion(run) for run in snapshot.runs)
    mine = (found for found in promotions if found and champion and found.decision.candidate_version == champion.version)
    return next(mine, None)


def _promotion(run: Run) -> Promote | None:
    """The promotion of a run that may be under way."""
    if run.state is RunState.AWAITING_APPROVAL:
        return approval.promotion(run, has_moved=True)
    decided = run.decision if run.state in OPEN else None
    wanted_it = decided is not None and decided.verdict is Verdict.PROMOTE
    return Promote(run=run, decision=decided, has_moved=True) if decided and wanted_it else None


def _note_champion(snapshot: Snapshot) -> Action | None:
    if snapshot.champion is None:
        return None
    champion, known = snapshot.champion[0], snapshot.known_champion
    if known is not None and known.version == (champion.version if champion else ""):
        return None
    return NoteChampion(champion=champion)


def _retry(snapshot: Snapshot, now: datetime) -> Action | None:
    for run in snapshot.runs:
        if run.state is RunState.FAILED:
            delay_s = min(snapshot.policy.retry_backoff_s * 2 ** (run.attempt - 1), RETRY_BACKOFF_S_MAX)
            why = f"attempt {run.attempt + 1} of {run.attempts_max} follows in {delay_s:g} s"
            return Advance(run=run, to=RunState.QUEUED, why=why, retry_at=now + timedelta(seconds=delay_s), next_attempt=True)
    return None


def _end_unwanted(snapshot: Snapshot) -> Action | None:
    for run in snapshot.runs:
        why, again = _outdated(run, snapshot)
        if run.ending is not None:
            still_wanted = run.ending is RunState.SUPERSEDED and _newer_bytes(run.drop, snapshot.current) is None
            return End(run=run, to=run.ending, why=run.ending_reason, again=still_wanted)
        if why and run.state is RunState.RUNNING:
            return Doom(run=run, ending=RunState.SUPERSEDED, why=why)
        if why:
            return End(run=run, to=RunState.SUPERSEDED, why=why, again=again)
    return _end_older_backlog(snapshot)


def _conclude_waiting(snapshot: Snapshot, now: datetime) -> Action | None:
    """Those who wait for approval do not occupy their model, so they are looked at beside its open run."""
    champion = snapshot.champion[0] if snapshot.champion else snapshot.known_champion
    version = champion.version if champion else ""
    waiting = (run for run in snapshot.runs if run.state is RunState.AWAITING_APPROVAL)
    actions = (approval.conclude(run, version, snapshot.policy.promotion, now) for run in waiting)
    return next((action for action in actions if action), None)


def _until_expiry(action: Action, snapshot: Snapshot) -> Action:
    """A rest ends when the first approval that is waited for expires."""
    expiries = [
        approval.expires_at(run, snapshot.policy.promotion) for run in snapshot.runs if run.state is RunState.AWAITING_APPROVAL
    ]
    if not expiries or not isinstance(action, Wait) or action.polling:
        return action
    first = min(expiries)
    return Wait(until=first, idle=True) if action.until is None else Wait(until=min(first, action.until))


def _outdated(run: Run, snapshot: Snapshot) -> tuple[str, bool]:
    """Why a run's data is no longer what it should train on, or '', and whether its own drop still wants a run."""
    target, *others = reversed(run.drops)
    if newer := _newer_bytes(target, snapshot.current):
        return f"newer bytes arrived: {newer.ref}", False
    for drop in others:
        if newer := _newer_bytes(drop, snapshot.current):
            return f"newer bytes arrived in its window: {newer.ref}", True
        if (drop.uri, drop.checksum) in snapshot.bad:
            return f"a drop in its window turned out to be bad: {drop.ref}", True
    return "", False


def _newer_bytes(drop: DatasetVersion, current: Mapping[str, DatasetVersion]) -> DatasetVersion | None:
    now_there = current.get(drop.uri)
    return now_there if now_there is not None and now_there.checksum != drop.checksum else None


def _end_older_backlog(snapshot: Snapshot) -> Action | None:
    """With `backlog = "newest"` only the newest waiting period is trained, and what an operator asked for."""
    if snapshot.policy.backlog != "newest" or snapshot.pending is not None:
        return None
    queued = [run for run in snapshot.runs if run.state is RunState.QUEUED]
    newest = max((run.period for run in queued), default="")
    older = next((run for run in queued if run.period < newest and not run.is_asked_for), None)
    why = f'backlog = "newest" and {newest} is waiting'
    return End(run=older, to=RunState.SUPERSEDED, why=why, passed_over=True) if older else None


def _go_on(snapshot: Snapshot, now: datetime) -> Action | None:
    run = snapshot.open_run
    if run is None:
        return None
    if run.state is RunState.TRAINED:
        return _conclude(run, snapshot, now)
    return _follow(run, snapshot)


def _follow(run: Run, snapshot: Snapshot) -> Action:
    """What the orchestrator's word on a running run leads to."""
    observation = snapshot.observation
    if observation is None:
        return Wait(polling=True)
    match observation.phase:
        case Phase.PENDING | Phase.RUNNING | Phase.UNKNOWN:
            return Wait(polling=True)
        case Phase.SUCCEEDED:
            return Advance(run=run, to=RunState.TRAINED, why="the pipeline succeeded", outcome=snapshot.outcome)
        case Phase.FAILED:
            return _failed(run, observation, snapshot)
        case Phase.CANCELED:
            return Advance(run=run, to=RunState.CANCELED, why="it was cancelled on the orchestrator")
        case Phase.VANISHED:
            return Advance(run=run, to=RunState.QUEUED, why="the orchestrator does not have it any more")
        case _:
            assert_never(observation.phase)


def _failed(run: Run, observation: Observation, snapshot: Snapshot) -> Action:
    failure = snapshot.outcome.failure if snapshot.outcome else None
    if failure is None or failure.attempt != run.attempt:
        return _fail(run, observation.reason or "the orchestrator gives no reason")
    if failure.kind == "drop_changed":
        return _changed(run, failure, snapshot)
    if failure.kind == "bad_drop":
        return _quarantine(run, failure, snapshot)
    return _fail(run, f"{failure.step}: {failure.reason}")


def _fail(run: Run, why: str) -> Advance:
    return Advance(run=run, to=RunState.FAILED, why=why, excused=is_full_disk(why))


def _changed(run: Run, failure: Failure, snapshot: Snapshot) -> Action:
    """Newer bytes get a run of their own - unless the old ones are back by now, or it was another month of the window.

    A run that was adopted after the ledger was lost may have been launched for an earlier upload of the same bytes.
    """
    now_there = snapshot.current.get(run.drop.uri, run.drop)
    is_this_upload = now_there.generation == run.drop.generation and failure.drop in {"", run.drop.ref}
    is_replaced = len(run.drops) == 1 and is_this_upload
    return Advance(run=run, to=RunState.SUPERSEDED if is_replaced else RunState.FAILED, why=failure.reason)


def _quarantine(run: Run, failure: Failure, snapshot: Snapshot) -> Action:
    """A drop is bad for good - unless it was held against the columns of somebody who is champion no longer."""
    if snapshot.champion is None:
        return Wait(polling=True)
    if run.champion_version != snapshot.champion_version:
        return Advance(run=run, to=RunState.QUEUED, why="the champion moved meanwhile, it is tried again", next_attempt=True)
    earlier = next((drop for drop in run.drops[:-1] if drop.ref == failure.drop), None)
    if earlier is not None:
        return Condemn(run=run, drop=earlier, why=failure.reason)
    return Advance(run=run, to=RunState.QUARANTINED, why=failure.reason)


def _conclude(run: Run, snapshot: Snapshot, now: datetime) -> Action:
    """A trained run is judged, the judgement recorded, then carried out - if the champion is still the one it was about."""
    if snapshot.champion is None:
        return Wait(polling=True)
    if run.decision is None:
        return _judge(run, snapshot, snapshot.champion[0])
    if run.decision.verdict is Verdict.REJECT:
        return Reject(run=run, decision=run.decision)
    if run.decision.champion_version != snapshot.champion_version:
        return _evaluate_again(run, snapshot.champion_version)
    if snapshot.policy.promotion.mode == "approval":
        return approval.ask(run, snapshot.policy.promotion, now)
    return Promote(run=run, decision=run.decision)


def _judge(run: Run, snapshot: Snapshot, champion: Champion | None) -> Action:
    outcome = snapshot.outcome or Outcome()
    is_champion = bool(outcome.version) and outcome.version == snapshot.champion_version
    if outcome.decided_run == run.name and not outcome.rolled_back:
        to = RunState.PROMOTED if is_champion or outcome.decided is Verdict.PROMOTE else RunState.REJECTED
        return Advance(run=run, to=to, why="it was decided before this ledger knew of it", is_old=True)
    if is_champion:
        return Advance(run=run, to=RunState.PROMOTED, why="its version was made champion by hand")
    evaluation = outcome.evaluation if outcome.evaluation and outcome.evaluation.attempt == run.attempt else None
    is_stale = evaluation is not None and outcome.version and evaluation.champion_version != snapshot.champion_version
    if is_stale and not outcome.rolled_back:
        return _evaluate_again(run, snapshot.champion_version)
    case = Case(
        candidate_version=outcome.version,
        candidate_period=run.period,
        evaluation=evaluation,
        champion=champion,
        lost_champion=snapshot.last_champion,
        rolled_back=outcome.rolled_back,
    )
    return Judge(run=run, decision=judge(case, snapshot.policy.promotion), outcome=outcome)


def _evaluate_again(run: Run, champion_version: str) -> Action:
    """The champion moved meanwhile, so the evidence is about somebody else: the same version is evaluated once more."""
    now_there = f"version {champion_version}" if champion_version else "nobody"
    return Advance(run=run, to=RunState.QUEUED, why=f"champion is now {now_there}, it is evaluated again", next_attempt=True)


def _start(snapshot: Snapshot, now: datetime) -> Action:
    first = next((run for run in snapshot.runs if run.state is RunState.QUEUED), None)
    if first is None:
        return Wait()
    run = _next_queued(snapshot, now)
    if run is None:
        return Wait(until=first.ready_at)
    if snapshot.slots <= 0:
        return Wait(polling=True)
    known = snapshot.known_champion
    return Submit(run=run, champion=known if known and known.version else None)


def _next_queued(snapshot: Snapshot, now: datetime) -> Run | None:
    """The first of the backlog when it is ready; the order is kept, so nobody overtakes a run that waits for its retry."""
    first = next((run for run in snapshot.runs if run.state is RunState.QUEUED), None)
    return first if first is not None and first.is_ready(now) else None
