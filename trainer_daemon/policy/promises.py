"""What has to be true of a workspace after faults, whatever they were; `drill` asks for it. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from trainer_daemon.policy.runs import LIVE, Run, RunState

_DECIDED = frozenset({RunState.PROMOTED, RunState.REJECTED})


class Verdict(StrEnum):
    """What came of a fault or of a promise."""

    HELD = "held"
    BROKEN = "broken"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the report.

    Attributes:
        name: Of the fault or of the promise.
        seen: What was seen, in one sentence.
    """

    name: str
    verdict: Verdict
    seen: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """Bytes that were put into the bucket under a name."""

    uri: str
    checksum: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A workspace after everything has come to rest.

    Attributes:
        uploads: Everything that was uploaded; the same bytes may come more than once.
        runs: Every run in the ledger.
        pending: Events that nobody has acted on.
        executed: Names of the runs that the orchestrator has.
        versions: Model versions by run key.
        champion: The version that the alias points to; empty when there is none.
        known_champion: What the ledger takes for the champion.
        processes: Command lines of processes that are left.
        crashes: What the daemon's log says of errors that nobody foresaw.
    """

    uploads: Sequence[Upload] = ()
    runs: Sequence[Run] = ()
    pending: int = 0
    executed: Sequence[str] = ()
    versions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    champion: str = ""
    known_champion: str = ""
    processes: Sequence[str] = ()
    crashes: Sequence[str] = ()


def promises(seen: Seen) -> tuple[Finding, ...]:
    """Every promise, kept or not."""
    return (
        _finding("one run per drop", _run_problems(seen), f"{len(set(seen.uploads))} uploads, {len(seen.runs)} runs"),
        _finding("no run that the ledger does not know", _stray_runs(seen), f"{len(seen.executed)} executed"),
        _finding("nothing is stuck", _stuck(seen), "every run has ended, no event waits"),
        _finding("one version per run", _version_problems(seen), f"{sum(map(len, seen.versions.values()))} versions"),
        _finding("one champion", _champion_problems(seen), f"version {seen.champion}" if seen.champion else "none, as recorded"),
        _finding("no process is left", seen.processes, "none"),
        _finding("no error that nobody foresaw", seen.crashes, "none in the daemon's log"),
    )


def _finding(name: str, problems: Iterator[str] | Sequence[str], otherwise: str) -> Finding:
    found = tuple(problems)
    return Finding(name=name, verdict=Verdict.BROKEN if found else Verdict.HELD, seen="; ".join(found) or otherwise)


def _run_problems(seen: Seen) -> Iterator[str]:
    counts = Counter((run.drop.uri, run.drop.checksum) for run in seen.runs)
    wanted = {(upload.uri, upload.checksum) for upload in seen.uploads}
    for uri, checksum in sorted(wanted | set(counts)):
        runs = counts[uri, checksum]
        if runs != 1 or (uri, checksum) not in wanted:
            yield f"{uri.rpartition('/')[2]} ({checksum[:15]}) has {runs} runs" + ("" if wanted else " and was not uploaded")


def _stray_runs(seen: Seen) -> Iterator[str]:
    known = {run.name.rpartition("-")[0] for run in seen.runs}
    for name in sorted(name for name in seen.executed if name.rpartition("-")[0] not in known):
        yield f"{name} was executed"


def _stuck(seen: Seen) -> Iterator[str]:
    for run in seen.runs:
        if run.state in LIVE or (run.state is RunState.FAILED and run.attempt < run.attempts_max):
            yield f"run {run.name} is {run.state}"
    if seen.pending:
        yield f"{seen.pending} events wait"


def _version_problems(seen: Seen) -> Iterator[str]:
    for run in seen.runs:
        versions = seen.versions.get(run.key, ())
        if len(versions) > 1:
            yield f"run {run.name} has versions {', '.join(versions)}"
        elif run.state in _DECIDED and run.model_version and list(versions) != [run.model_version]:
            yield f"version {run.model_version} of run {run.name} is not registered"


def _champion_problems(seen: Seen) -> Iterator[str]:
    if seen.champion != seen.known_champion:
        yield f"the alias is on version {seen.champion or 'none'}, the ledger knows version {seen.known_champion or 'none'}"
