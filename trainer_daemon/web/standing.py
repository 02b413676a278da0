"""What the status page shows of one model: bounded looks at the ledger, put together; nothing is formatted here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trainer_daemon.adapters.ledger.history import Happening, History, Reign
from trainer_daemon.commands.reigns import Chapter, chapters
from trainer_daemon.policy.events import DatasetVersion
from trainer_daemon.policy.observations import Evaluation, parse_evaluation
from trainer_daemon.policy.runs import OPEN, Run, RunState
from trainer_daemon.web.chart import Chart, Score, draw

RUNS_SHOWN, DROPS_SHOWN, CHAMPIONS_SHOWN, DECISIONS_SHOWN, QUEUED_SHOWN, BAD_SHOWN, APPROVALS_SHOWN = 10, 10, 12, 3, 3, 10, 50
_DECIDED = (RunState.PROMOTED, RunState.REJECTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """An event, and the state of the run that it started; None when it started none."""

    happening: Happening
    state: RunState | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """A drop that cannot be trained.

    Attributes:
        run: That found it; None when the run of a later month did.
        happening: Its arrival, when no run of its own has judged it.
    """

    drop: DatasetVersion
    reason: str
    run: Run | None = None
    happening: Happening | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reigned:
    """One champion in the table behind the chart.

    Attributes:
        own: What it scored when it was promoted; None when nobody knows.
        replaced: What the one that it replaced scored on the same rows.
    """

    chapter: Chapter
    own: float | None
    replaced: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Champions:
    """Who was champion, the newest first.

    Attributes:
        chart: None when there is nothing to draw.
        has_more: Whether there were others before.
    """

    reigned: tuple[Reigned, ...]
    chart: Chart | None
    has_more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What is still to be done by itself.

    Attributes:
        pending: Events that nobody has acted on.
        queued: Runs in the backlog.
        first: The first of them.
    """

    pending: int
    queued: int
    first: tuple[Run, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where one model stands.

    Attributes:
        champion: As far as the ledger knows; None for nobody.
        maker: The run that made it.
        under_way: Runs that occupy the model.
        approvals: Runs that wait for a person.
        failed: The newest runs that failed for good, of a month that nobody was decided on since.
        bad: The newest bad drops.
        uncorrected: Those of them that are of such a month and are still there as they were.
        decided: The runs that were decided on last.
    """

    model: str
    champion: Reign | None
    maker: Run | None
    under_way: tuple[Run, ...]
    waiting: Waiting
    approvals: tuple[Run, ...]
    failed: tuple[Run, ...]
    bad: tuple[Bad, ...]
    uncorrected: tuple[Bad, ...]
    decided: tuple[Run, ...]
    runs: tuple[Run, ...]
    arrivals: tuple[Arrival, ...]
    champions: Champions


def read_standing(history: History, model: str, metric: str) -> Standing:
    """Look at a model; how much is read does not depend on how large the ledger is.

    Args:
        history: Is asked.
        model: Its name.
        metric: The one that has to improve.
    """
    last = next(reversed(history.reigns(model)), None)
    champion = last if last is not None and last.version else None
    decided = history.newest_runs(model, DECISIONS_SHOWN, states=_DECIDED)
    newest_period = max((run.period for run in decided), default="")
    bad = _bad(history, model)
    failed = history.newest_runs(model, BAD_SHOWN, states=(RunState.FAILED,))
    return Standing(
        model=model,
        champion=champion,
        maker=history.find_run(champion.run_key) if champion and champion.run_key else None,
        under_way=history.newest_runs(model, QUEUED_SHOWN, states=tuple(OPEN)),
        waiting=_waiting(history, model),
        approvals=tuple(run for run in _awaiting(history, model) if run.answer is None),
        failed=tuple(run for run in failed if _is_given_up(history, run, newest_period)),
        bad=bad,
        uncorrected=_uncorrected(history, model, [each for each in bad if each.drop.period >= newest_period]),
        decided=decided,
        runs=history.newest_runs(model, RUNS_SHOWN),
        arrivals=read_arrivals(history, model, DROPS_SHOWN),
        champions=read_champions(history, model, metric),
    )


def read_arrivals(history: History, model: str, limit: int, *, before: int | None = None) -> tuple[Arrival, ...]:
    """What arrived last, the newest first; `before` as the history has it."""
    found = history.newest_happenings(model, limit, before=before)
    states = history.states_of([item.run_key for item in found if item.run_key])
    return tuple(Arrival(happening=item, state=states.get(item.run_key)) for item in found)


def read_champions(history: History, model: str, metric: str, *, skip: int = 0) -> Champions:
    """Who was champion, so many left out that were it last."""
    part = slice(-skip - CHAMPIONS_SHOWN - 1, -skip or None)
    found = tuple(chapters(history, model, part))
    told = found[-CHAMPIONS_SHOWN:]
    reigned = tuple(_reigned(chapter, metric) for chapter in told)
    scores = [
        Score(version=each.chapter.reign.version, period=each.chapter.reign.period, own=each.own, replaced=each.replaced)
        for each in reigned
    ]
    return Champions(reigned=reigned[::-1], chart=draw(scores), has_more=len(found) > len(told))


def _reigned(chapter: Chapter, metric: str) -> Reigned:
    made = _evaluation(chapter)
    return Reigned(
        chapter=chapter,
        own=made.candidate.get(metric) if made else None,
        replaced=made.champion.get(metric) if made else None,
    )


def _evaluation(chapter: Chapter) -> Evaluation | None:
    try:
        return parse_evaluation(chapter.judgement.evaluation) if chapter.judgement else None
    except ValueError:
        return None


def _waiting(history: History, model: str) -> Waiting:
    return Waiting(
        pending=history.count_pending(model),
        queued=history.count_runs(model).get(RunState.QUEUED, 0),
        first=history.next_runs(model, QUEUED_SHOWN),
    )


def _awaiting(history: History, model: str) -> tuple[Run, ...]:
    return history.newest_runs(model, APPROVALS_SHOWN, states=(RunState.AWAITING_APPROVAL,))


def _bad(history: History, model: str) -> tuple[Bad, ...]:
    """Those that a run of their own found first."""
    own = (
        Bad(drop=run.drop, reason=run.error, run=run)
        for run in history.newest_runs(model, BAD_SHOWN, states=(RunState.QUARANTINED,))
    )
    return (*own, *_condemned(history, model))


def _condemned(history: History, model: str) -> Iterator[Bad]:
    for item in history.condemned(model, BAD_SHOWN):
        if item.event.drop is not None:
            yield Bad(drop=item.event.drop, reason=item.why, happening=item)


def _uncorrected(history: History, model: str, bad: Sequence[Bad]) -> tuple[Bad, ...]:
    current = history.current(model, [each.drop.uri for each in bad])
    return tuple(each for each in bad if (now := current.get(each.drop.uri)) is not None and now.checksum == each.drop.checksum)


def _is_given_up(history: History, run: Run, newest_period: str) -> bool:
    """Nothing will happen to it by itself, nor has another run taken its place."""
    if run.attempt < run.attempts_max or run.period < newest_period:
        return False
    return not any(
        other.sequence > run.sequence and other.drop.uri == run.drop.uri for other in history.runs_for(run.model, run.drop.uri)
    )
