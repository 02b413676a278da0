"""What the status page shows of one run or one drop: as `explain` tells it, from what concerns it only."""

from dataclasses import dataclass

from trainer_daemon.adapters.ledger.history import Happening, History, Judgement
from trainer_daemon.commands.advice import advice
from trainer_daemon.commands.matching import Match
from trainer_daemon.commands.opening import Session
from trainer_daemon.commands.records import Records, read_course
from trainer_daemon.commands.timeline import Entry, timeline
from trainer_daemon.policy.runs import OPEN, Run, RunState

SHOWN_MAX = 50
"""Of runs for one object; one that is uploaded more often has older ones, which are not told."""
BACKLOG_MAX = 1000
"""Of queued runs, to say how many are before one; in a longer backlog the number is too small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What there is to tell.

    Attributes:
        runs: That it is about, the newest last.
        judgements: Of these runs, the newest last.
        next_steps: What a person would do, with commands between backticks.
    """

    model: str
    runs: tuple[Run, ...]
    judgements: tuple[Judgement, ...]
    entries: tuple[Entry, ...]
    next_steps: tuple[str, ...]


def story_of_run(run: Run, session: Session, history: History) -> Story:
    """The story of one run over all its attempts."""
    about = history.happenings_about(run.model, uri=run.drop.uri, run_keys=[run.key])
    own = tuple(item for item in about if item.run_key == run.key or item.event.id == run.event_id)
    return _story(_match("run", run.model, (run,), own, history), session, history)


def story_of_drop(happening: Happening, session: Session, history: History) -> Story:
    """The story of an object: every version of it that arrived, and every run that was for it."""
    model, drop = happening.event.model, happening.event.drop
    if drop is None:
        keys = [happening.run_key] if happening.run_key else []
        runs = tuple(run for key in keys if (run := history.find_run(key)))
        return _story(_match("drop", model, runs, (happening,), history), session, history)
    runs = tuple(run for run in history.runs_for(model, drop.uri) if run.drop.uri == drop.uri)[-SHOWN_MAX:]
    about = history.happenings_about(model, uri=drop.uri, run_keys=[run.key for run in runs])[-SHOWN_MAX:]
    return _story(_match("drop", model, runs, about, history), session, history)


def _match(kind: str, model: str, runs: tuple[Run, ...], about: tuple[Happening, ...], history: History) -> Match:
    """With the runs around them that advice is about: what is under way, what is next, what came after."""
    around = [
        *(other for run in runs for other in history.runs_for(model, run.drop.uri)),
        *history.newest_runs(model, SHOWN_MAX, states=tuple(OPEN)),
        *(history.next_runs(model, BACKLOG_MAX) if any(run.state is RunState.QUEUED for run in runs) else ()),
    ]
    known = {run.key: run for run in around}
    records = Records(
        model=model,
        runs=tuple(sorted(known.values(), key=lambda run: run.sequence)),
        happenings=about,
        reigns=history.reigns(model),
        interventions=history.interventions(model),
        holding=history.holding(model),
    )
    return Match(kind=kind, records=records, runs=runs, happenings=about)


def _story(found: Match, session: Session, history: History) -> Story:
    course = read_course(history, found.runs)
    return Story(
        model=found.records.model,
        runs=found.runs,
        judgements=course.judgements,
        entries=timeline(found, course),
        next_steps=advice(found, session),
    )
