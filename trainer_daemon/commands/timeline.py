"""What happened, in plain words and in order: one entry per event, move, decision and change of champion. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer_daemon.adapters.ledger.history import Happening, Judgement, Reign, Transition
from trainer_daemon.commands.entries import Entry, Tone
from trainer_daemon.commands.interventions import intervened
from trainer_daemon.commands.matching import Match
from trainer_daemon.commands.opening import file_name
from trainer_daemon.commands.records import Course
from trainer_daemon.policy.events import EventKind, Source
from trainer_daemon.policy.observations import parse_evaluation
from trainer_daemon.policy.promotion import Decision, Result
from trainer_daemon.policy.runs import Run, RunState, run_name

__all__ = ["MARKS", "METRICS_SHOWN", "Entry", "Tone", "evidence_of", "size_of", "timeline"]

METRICS_SHOWN = ("log_loss", "roc_auc", "accuracy")
MARKS: Mapping[Result, str] = {Result.PASSED: "passed", Result.FAILED: "FAILED", Result.NOT_APPLICABLE: "does not apply"}
_FOUND_BY: Mapping[Source, str] = {
    Source.WATCH: "the folder watch",
    Source.LISTING: "the listing of the bucket",
    Source.PUBSUB: "a notification",
    Source.CRON: "the schedule",
    Source.CLI: "the command line",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """How a move is told.

    Attributes:
        says_why: The move's own reason belongs to it.
    """

    text: str
    tone: Tone = Tone.PLAIN
    says_why: bool = True


_BEGINNING = _Words(text="run {name} was queued", says_why=False)
_S = RunState
_MOVES: Mapping[RunState, _Words] = {
    _S.QUEUED: _Words(text="it was queued again as {name}", tone=Tone.WARNING),
    _S.RUNNING: _Words(text="attempt {attempt} started: {name}", says_why=False),
    _S.TRAINED: _Words(text="attempt {attempt} finished, the candidate is {version}", says_why=False),
    _S.PROMOTED: _Words(text="{version} became champion", tone=Tone.GOOD),
    _S.REJECTED: _Words(text="{version} was rejected, the champion is as before", tone=Tone.WARNING, says_why=False),
    _S.AWAITING_APPROVAL: _Words(text="{version} waits for approval", tone=Tone.WARNING),
    _S.FAILED: _Words(text="attempt {attempt} failed", tone=Tone.BAD),
    _S.QUARANTINED: _Words(text="the drop was quarantined", tone=Tone.BAD),
    _S.SUPERSEDED: _Words(text="the run was superseded", tone=Tone.WARNING),
    _S.CANCELED: _Words(text="the run was cancelled", tone=Tone.WARNING),
}
_OUTCOMES: Mapping[str, tuple[str, Tone]] = {
    "pending": ("the daemon has not acted on it yet", Tone.PLAIN),
    "queued": ("", Tone.PLAIN),
    "rejected": ("it was ignored: ", Tone.WARNING),
    "superseded": ("it was superseded: ", Tone.WARNING),
    "quarantined": ("the run of a later month found it to be bad: ", Tone.BAD),
}
"""What became of an event, before its own reason; every other outcome starts nothing."""


def timeline(found: Match, course: Course) -> tuple[Entry, ...]:
    """Everything that happened to what was matched, oldest first; what happened at the same moment stays in causal order."""
    by_key = {run.key: run for run in found.runs}
    by_people = {each.closed_at for each in found.records.interventions}
    keys = set(by_key)
    entries = [
        *_events(found.happenings),
        *(_judged(item) for item in course.judgements if item.run_key in keys),
        *(_moved(item, by_key[item.run_key]) for item in course.transitions if item.run_key in keys and item.at not in by_people),
        *_reigned(found),
        *intervened(found.records.interventions, found.versions),
    ]
    return tuple(sorted(entries, key=lambda entry: entry.at))


def _events(happenings: Sequence[Happening]) -> Iterator[Entry]:
    seen: set[str] = set()
    for item in happenings:
        yield _event(item, again=item.subject in seen)
        seen.add(item.subject)


def _event(item: Happening, *, again: bool) -> Entry:
    words, tone = _OUTCOMES.get(item.outcome, ("nothing is trained for it: ", Tone.PLAIN))
    details = (words + item.why,) if words or item.why else ()
    return Entry(
        id=f"event:{item.event.id}:{item.outcome}",
        at=item.recorded_at,
        text=_asked(item, again=again),
        details=details,
        tone=tone,
    )


def _asked(item: Happening, *, again: bool) -> str:
    event = item.event
    what = file_name(item.subject) or "the newest drop"
    match event.kind:
        case EventKind.DROP:
            size = f", {size_of(event.drop.size_bytes)}, period {event.drop.period}" if event.drop else ""
            return f"{what} arrived{' again' if again else ''}{size}, noticed by {_FOUND_BY[event.source]}"
        case EventKind.SCHEDULE:
            return f"the schedule asked for a run of {what}"
        case EventKind.OPERATOR:
            return f"{event.by or 'an operator'} asked for a run of {what}{', forced' if event.force else ''}"


def size_of(size_bytes: int) -> str:
    """A size as people say it."""
    for unit, bytes_ in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size_bytes >= bytes_:
            return f"{size_bytes / bytes_:.1f} {unit}"
    return f"{size_bytes} bytes"


# moves


def _moved(move: Transition, run: Run) -> Entry:
    name = run_name(run.model, run.period, run.key, move.attempt)
    words = _BEGINNING if not move.from_state else _MOVES[RunState(move.to_state)]
    version = f"version {run.model_version}" if run.model_version else "its version"
    details = _details(move, run, says_why=words.says_why)
    by = () if move.by == "daemon" else (f"asked for by {move.by}",)
    return Entry(
        id=f"move:{move.run_key}:{move.at.isoformat()}:{move.to_state}",
        at=move.at,
        text=words.text.format(name=name, attempt=move.attempt, version=version),
        details=(*details, *by),
        tone=words.tone,
    )


def _details(move: Transition, run: Run, *, says_why: bool) -> tuple[str, ...]:
    """What a person said is told here; the rules are told by the decision."""
    waited = move.from_state == RunState.AWAITING_APPROVAL
    if move.to_state == RunState.PROMOTED:
        return tuple(dict.fromkeys((*_promotion_details(move, run), *((move.why,) if waited else ()))))
    return (move.why,) if says_why or waited else ()


def _promotion_details(move: Transition, run: Run) -> tuple[str, ...]:
    """Reasons are the decision's, which has an entry of its own; without one the move says it."""
    if run.decision is None:
        return (move.why,)
    before = run.decision.champion_version
    return (
        f"alias champion moved from version {before} to {run.model_version}"
        if before
        else "alias champion was set for the first time",
    )


# decisions


def _judged(item: Judgement) -> Entry:
    rules = tuple(f"{MARKS[outcome.result]}: {outcome.sentence}" for outcome in item.decision.outcomes)
    evidence, scores = evidence_of(item.evaluation, item.decision)
    return Entry(id=f"decision:{item.run_key}:{item.attempt}", at=item.at, text=evidence, details=(*scores, *rules))


def evidence_of(evaluation: Mapping[str, Any], decision: Decision) -> tuple[str, tuple[str, ...]]:
    """What candidate and champion scored: a headline, and a sentence for every metric that matters here.

    Args:
        evaluation: `evaluation.json` as the ledger keeps it.
        decision: What was made of it; its rules say which metrics matter.
    """
    try:
        read = parse_evaluation(evaluation)
    except ValueError as exc:
        return "it was judged without an evaluation", (str(exc),)
    against = f" against champion version {read.champion_version}" if read.champion_version else ", there is no champion yet"
    ruled = (outcome.rule.partition("[")[2].rstrip("]") for outcome in decision.outcomes)
    metrics = tuple(dict.fromkeys((*METRICS_SHOWN, *(name for name in ruled if name))))
    scores = tuple(_score(name, read.candidate, read.champion) for name in metrics if name in read.candidate)
    return f"it was evaluated on {read.holdout_rows} held-out rows{against}", scores


def _score(name: str, candidate: Mapping[str, float], champion: Mapping[str, float]) -> str:
    versus = f", the champion {champion[name]:.4f}" if name in champion else ""
    return f"{name}: the candidate {candidate[name]:.4f}{versus}"


# champions


def _reigned(found: Match) -> Iterator[Entry]:
    """How the alias went on after these runs, or moved without the daemon; promotions and what people did are told elsewhere."""
    keys = {run.key for run in found.runs}
    reigns = found.records.reigns
    for before, reign in zip(("", *(earlier.version for earlier in reigns)), reigns, strict=False):
        is_told = (reign.cause == "promoted" and reign.run_key in keys) or found.records.intervention_of(reign) is not None
        if not is_told and (text := _alias_text(before, reign, found.versions)):
            yield Entry(id=f"champion:{reign.version}:{reign.at.isoformat()}", at=reign.at, text=text)


def _alias_text(before: str, reign: Reign, versions: frozenset[str]) -> str:
    """What a change of the alias means for some versions; empty when it does not concern them."""
    if before in versions and reign.version != before:
        return f"version {before} stopped being champion: {_successor(reign)}"
    if reign.version in versions and reign.version != before:
        return f"version {reign.version} was found to be champion, put there outside the daemon"
    return ""


def _successor(reign: Reign) -> str:
    if not reign.version:
        return "the alias was removed outside the daemon"
    how = "was promoted" if reign.cause == "promoted" else "was put there outside the daemon"
    return f"version {reign.version} {how}"
