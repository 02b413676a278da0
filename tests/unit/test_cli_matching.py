"""What a person means by a word."""

from datetime import timedelta

import pytest

from tests.builders import NOW, a_drop, a_drop_event, a_run
from trainer_daemon.adapters.ledger.history import Happening
from trainer_daemon.commands.matching import as_period, find_drops, find_runs, match, names, near
from trainer_daemon.commands.records import Records
from trainer_daemon.policy.events import DatasetVersion, Event, EventKind, Source
from trainer_daemon.policy.runs import Run, RunState

MARCH = a_drop("2025-03")
MARCH_AGAIN = a_drop("2025-03", content="b", generation="2")
MAY = a_drop("2025-05")
IGNORED = "file:///drops/churn_data_2025_13.csv"


def happening(drop: DatasetVersion, *, run: Run | None = None, outcome: str = "queued") -> Happening:
    """An event about a drop."""
    event = a_drop_event(drop)
    return Happening(event=event, subject=drop.uri, recorded_at=NOW, outcome=outcome, why="", run_key=run.key if run else "")


def started(drop: DatasetVersion, state: RunState = RunState.PROMOTED, *, version: str = "", attempt: int = 1) -> Run:
    """A run with the event that started it."""
    return a_run(state, drop, event_id=a_drop_event(drop).id, model_version=version, attempt=attempt)


@pytest.fixture
def records() -> Records:
    """March uploaded twice, May once, and a name that could never be a drop."""
    first, second = started(MARCH, RunState.SUPERSEDED, attempt=2), started(MARCH_AGAIN, version="1")
    may = started(MAY, version="2")
    ignored = Event(id="x", kind=EventKind.DROP, model="churn", source=Source.LISTING, occurred_at=NOW)
    rejected = Happening(
        event=ignored, subject=IGNORED, recorded_at=NOW + timedelta(1), outcome="rejected", why="no month", run_key=""
    )
    happenings = (happening(MARCH, run=first), happening(MARCH_AGAIN, run=second), happening(MAY, run=may), rejected)
    return Records(model="churn", runs=(first, second, may), happenings=happenings)


@pytest.mark.parametrize("word", ["churn_data_2025_03.csv", MARCH.uri, "/drops/churn_data_2025_03.csv"])
def test_a_file_means_all_its_versions(records: Records, word: str) -> None:
    """By name, URI and path."""
    found = match(word, records)
    assert found
    assert (found.kind, found.runs, found.happenings) == ("drop", records.runs[:2], records.happenings[:2])


@pytest.mark.parametrize("word", [MARCH_AGAIN.ref, "churn_data_2025_03.csv#2"])
def test_a_generation_means_one_version(records: Records, word: str) -> None:
    """With the run it started and nothing else."""
    found = match(word, records)
    assert found
    assert (found.runs, found.happenings) == (records.runs[1:2], records.happenings[1:2])


@pytest.mark.parametrize("word", ["2025-05", "2025_05", "202505"])
def test_a_period_means_everything_of_the_month(records: Records, word: str) -> None:
    """In every spelling that a drop's name may have."""
    found = match(word, records)
    assert found
    assert (found.kind, found.runs, found.happenings) == ("period", records.runs[2:], records.happenings[2:3])


def test_a_run_is_known_by_the_name_of_each_of_its_attempts(records: Records) -> None:
    """By its key, and by the beginning of its key as well; never by an attempt that it did not have."""
    run = records.runs[0]
    common = run.name.removesuffix("-2")
    for word in (f"{common}-1", f"{common}-2", common, run.key, run.key[:8]):
        found = match(word, records)
        assert found
        assert (found.kind, found.runs, found.happenings) == ("run", (run,), records.happenings[:1])
    assert match(f"{common}-3", records) is None


def test_a_version_means_the_run_that_registered_it(records: Records) -> None:
    """Digits are a version before they are the beginning of a key."""
    found = match("2", records)
    assert found
    assert (found.kind, found.runs) == ("version", records.runs[2:])


def test_an_ignored_file_can_be_asked_for(records: Records) -> None:
    """Although it has no period and no run."""
    found = match("churn_data_2025_13.csv", records)
    assert found
    assert (found.runs, found.happenings) == ((), records.happenings[3:])


def test_a_duplicated_event_tells_of_the_run_it_repeats(records: Records) -> None:
    """The same file's earlier run belongs to its story."""
    again = happening(a_drop("2025-05", generation="9"), outcome="duplicated")
    found = match("churn_data_2025_05.csv", Records(model="churn", runs=records.runs, happenings=(*records.happenings, again)))
    assert found
    assert found.happenings == (records.happenings[2], again)
    assert found.runs == records.runs[2:]


@pytest.mark.parametrize("word", ["", "9", "2024-01", "other.csv", "abc", "#1", "churn"])
def test_what_means_nothing_matches_nothing(records: Records, word: str) -> None:
    """No word is taken for something that merely resembles it."""
    assert match(word, records) is None


def test_a_key_prefix_has_to_be_long_enough(records: Records) -> None:
    """Three digits are chance; a prefix of several runs means all of them."""
    key = records.runs[0].key
    assert find_runs(key[:3], records.runs) == ()
    assert find_runs(key[:4].upper(), records.runs) == (records.runs[0],)
    twins = (a_run(key="abcdef"), a_run(key="abcd99"))
    assert find_runs("abcd", twins) == twins


def test_drops_are_found_by_quoted_names() -> None:
    """A URI quotes what a person writes plainly."""
    drop = a_drop(uri="file:///my%20drops/churn%20data_2025_03.csv")
    for word in ("churn data_2025_03.csv", "/my drops/churn data_2025_03.csv", drop.uri, drop.ref):
        assert find_drops(word, [drop]) == (drop,)


def test_only_periods_are_periods() -> None:
    """With their usual separators."""
    assert [as_period(word) for word in ("2025-03", "2025_03", "202503", "2025-3", "25-03", "2025-03-01")] == ["2025-03"] * 3 + [
        None
    ] * 3


def test_near_names_come_closest_first(records: Records) -> None:
    """Out of everything that could have been meant."""
    assert near("churn_dat_2025_05.csv", names(records))[0] == "churn_data_2025_05.csv"
