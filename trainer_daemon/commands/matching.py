"""What a person means: a drop, a run or a version by any of the names that the daemon shows. Pure."""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from trainer_daemon.adapters.ledger.history import Happening
from trainer_daemon.commands.opening import file_name
from trainer_daemon.commands.records import Records
from trainer_daemon.policy.events import DatasetVersion
from trainer_daemon.policy.runs import Run, run_name

KEY_PREFIX_MIN = 4
_PERIOD = re.compile(r"(\d{4})[-_]?(\d{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What a word stands for in the records of one model.

    Attributes:
        kind: `run`, `version`, `period` or `drop`.
        stranger: A version that no run of this ledger made; empty when it is about runs or drops.
    """

    kind: str
    records: Records
    runs: tuple[Run, ...] = ()
    happenings: tuple[Happening, ...] = ()
    stranger: str = ""

    @property
    def versions(self) -> frozenset[str]:
        """Model versions that it is about."""
        return frozenset({self.stranger, *(run.model_version for run in self.runs)} - {""})


def match(word: str, records: Records) -> Match | None:
    """Everything that a word may mean, the most exact meaning first; None when it means nothing here."""
    readings: tuple[Callable[[str, Records], Match | None], ...] = (_as_run, _as_version, _as_period, _as_drop, _as_key)
    return next((found for reading in readings if (found := reading(word, records))), None)


def find_runs(word: str, runs: Iterable[Run]) -> tuple[Run, ...]:
    """The runs that a run's name, key or key prefix stands for; more than one when a prefix is too short."""
    runs = tuple(runs)
    named = tuple(run for run in runs if word in _names(run))
    if named or len(word) < KEY_PREFIX_MIN:
        return named
    return tuple(run for run in runs if run.key.startswith(word.lower()))


def find_drops(word: str, drops: Iterable[DatasetVersion]) -> tuple[DatasetVersion, ...]:
    """The drops that a URI, with or without generation, a path or a file name stands for."""
    return tuple(
        drop for drop in drops if word in {drop.ref, drop.uri, file_name(drop.uri), file_name(drop.ref)} or _uri(word) == drop.uri
    )


def as_period(word: str) -> str | None:
    """`2025-03` for any spelling that a drop's name may have; None when it is no period."""
    found = _PERIOD.fullmatch(word)
    return f"{found[1]}-{found[2]}" if found else None


def near(word: str, known: Iterable[str]) -> tuple[str, ...]:
    """The known names that come closest to a word, the closest first."""
    return tuple(difflib.get_close_matches(word, sorted(set(known)), n=5, cutoff=0.4))


def names(records: Records) -> Iterator[str]:
    """Everything that `match` knows of a model."""
    for run in records.runs:
        yield run.name
        yield run.period
        yield from (run.model_version,) if run.model_version else ()
    for happening in records.happenings:
        yield from (file_name(happening.subject),) if happening.subject else ()
    yield from (reign.version for reign in records.reigns if reign.version)


def _names(run: Run) -> set[str]:
    """The names of all its attempts, and what they have in common."""
    attempts = {run_name(run.model, run.period, run.key, attempt) for attempt in range(1, run.attempt + 1)}
    return attempts | {run.name.rpartition("-")[0], run.key}


def _as_run(word: str, records: Records) -> Match | None:
    found = tuple(run for run in records.runs if word in _names(run))
    return _about_runs("run", found, records)


def _as_key(word: str, records: Records) -> Match | None:
    return _about_runs("run", find_runs(word, records.runs), records)


def _as_version(word: str, records: Records) -> Match | None:
    found = tuple(run for run in records.runs if word and run.model_version == word)
    asked_for = {version for each in records.interventions for version in (each.version, each.replaces)}
    if not found and word and word in asked_for | {reign.version for reign in records.reigns}:
        return Match(kind="version", records=records, stranger=word)  # no run of this ledger made it
    return _about_runs("version", found, records)


def _as_period(word: str, records: Records) -> Match | None:
    period = as_period(word)
    if period is None:
        return None
    runs = tuple(run for run in records.runs if run.period == period)
    about = tuple(item for item in records.happenings if item.event.drop is not None and item.event.drop.period == period)
    return _joined("period", runs, about, records)


def _as_drop(word: str, records: Records) -> Match | None:
    """Every version of the object when no generation is named; runs that have it in their window only are not its runs."""
    runs = tuple(run for run in records.runs if find_drops(word, [run.drop]))
    about = tuple(item for item in records.happenings if _is_about(word, item))
    return _joined("drop", runs, about, records)


def _is_about(word: str, item: Happening) -> bool:
    if item.event.drop is not None:
        return bool(find_drops(word, [item.event.drop]))
    return bool(item.subject) and word in {item.subject, file_name(item.subject)}


def _about_runs(kind: str, runs: tuple[Run, ...], records: Records) -> Match | None:
    return _joined(kind, runs, (), records) if runs else None


def _joined(kind: str, runs: tuple[Run, ...], about: tuple[Happening, ...], records: Records) -> Match | None:
    """Runs with the events that asked for them, events with the runs that they started."""
    if not runs and not about:
        return None
    keys = {run.key for run in runs} | {item.run_key for item in about if item.run_key}
    events = {item.event.id for item in about} | {run.event_id for run in runs}
    return Match(
        kind=kind,
        records=records,
        runs=tuple(run for run in records.runs if run.key in keys),
        happenings=tuple(item for item in records.happenings if item.event.id in events or item.run_key in keys),
    )


def _uri(word: str) -> str:
    return "" if "://" in word or "/" not in word else Path(word).absolute().as_uri()
