"""The read-only views of the ledger on every database, and the lock that says who writes it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from tests.builders import MODEL, a_drop
from tests.integration.ledger_story import Storyteller, a_whole_past
from trainer_daemon.adapters.ledger.history import History, open_history
from trainer_daemon.adapters.ledger.migrating import LATEST
from trainer_daemon.errors import PermanentError, TemporaryError
from trainer_daemon.policy.runs import RunState
from trainer_daemon.singleton import hold, holder, lock_path

ENDS = ["PROMOTED", "QUARANTINED", "PROMOTED", "REJECTED", "SUPERSEDED", "CANCELED", "FAILED", "RUNNING", "QUEUED"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the ledger's file is; its name needs quoting in a URI."""
    return tmp_path / "a #1 ledger?%41.db"


@pytest.fixture
def story(ledger_url: str) -> Iterator[Storyteller]:
    """A ledger in which everything has happened once, still open as a daemon has it."""
    told = a_whole_past(ledger_url)
    yield told
    told.ledger.close()


@pytest.fixture
def history(story: Storyteller) -> Iterator[History]:
    """Its history."""
    opened = open_history(story.url)
    assert opened
    with opened:
        yield opened


def writing(story: Storyteller) -> AbstractContextManager[Connection]:
    """A transaction of whoever writes the ledger."""
    return story.ledger._engine.begin()


def test_runs_come_with_their_drops_and_decisions_in_the_order_of_arrival(history: History) -> None:
    """Every one, however it ended; of this model only."""
    runs = history.runs(MODEL)
    assert [run.state.value for run in runs] == ENDS
    assert [run.drop for run in runs] == [a_drop(f"2025-0{month}") for month in range(1, 10)]
    assert [run.decision is not None for run in runs] == [True, False, True, True, False, False, False, False, False]
    assert history.runs("another") == ()


def test_happenings_tell_what_became_of_each_event(history: History) -> None:
    """Also of names that could never be drops."""
    happenings = history.happenings(MODEL)
    assert [item.outcome for item in happenings] == [
        "queued",
        "duplicated",
        *["queued"] * 6,
        "rejected",
        "queued",
        "queued",
        "pending",
    ]
    assert happenings[0].run_key == history.runs(MODEL)[0].key
    assert (happenings[8].subject, happenings[8].why) == ("file:///drops/churn_data_2025_13.csv", "month 13 does not exist")
    assert happenings[8].event.drop is None


def test_transitions_are_the_way_a_run_took(history: History) -> None:
    """From its beginning to where it is."""
    run = history.runs(MODEL)[0]
    moves = history.transitions(run.key)
    assert [(move.from_state, move.to_state) for move in moves] == [
        ("", "QUEUED"),
        ("QUEUED", "RUNNING"),
        ("RUNNING", "TRAINED"),
        ("TRAINED", "PROMOTED"),
    ]
    assert [move.at for move in moves] == sorted(move.at for move in moves)
    assert moves[0].at.utcoffset() is not None


def test_judgements_keep_rules_and_evidence(history: History) -> None:
    """As they were when the decision was made."""
    run = history.runs(MODEL)[3]
    (judgement,) = history.judgements(run.key)
    assert (judgement.attempt, judgement.decision) == (1, run.decision)
    assert judgement.evaluation["champion"]["metrics"]["log_loss"] == 0.6
    assert history.judgements(history.runs(MODEL)[1].key) == ()


def test_reigns_are_the_champions_one_after_another(history: History) -> None:
    """With the run that each came from."""
    runs = history.runs(MODEL)
    assert [(reign.version, reign.run_key, reign.cause) for reign in history.reigns(MODEL)] == [
        ("1", runs[0].key, "promoted"),
        ("2", runs[2].key, "promoted"),
    ]


def test_looking_for_a_ledger_creates_nothing(file: Path) -> None:
    """Neither the file nor its folder."""
    assert open_history(f"sqlite:///{file.parent}/missing/ledger.db") is None
    assert list(file.parent.iterdir()) == []


def test_ledger_without_tables_is_no_ledger_yet(file: Path) -> None:
    """A daemon that starts at this moment has made the file and nothing in it."""
    file.touch()
    assert open_history(f"sqlite:///{file.parent / 'ledger.db'}") is None
    empty = file.parent / "ledger.db"
    empty.touch()
    assert open_history(f"sqlite:///{empty}") is None


def test_history_sees_what_the_daemon_writes_meanwhile_and_holds_nothing_up(story: Storyteller, history: History) -> None:
    """A look neither waits for the writer nor makes it wait, and sees nothing that is not committed."""
    assert history.runs(MODEL)[8].state is RunState.QUEUED
    with writing(story) as writer:
        writer.execute(text("UPDATE event SET outcome = 'skipped' WHERE outcome = 'pending'"))
        assert history.happenings(MODEL)[-1].outcome == "pending"
    assert history.happenings(MODEL)[-1].outcome == "skipped"


@pytest.mark.parametrize("how", ["_engine", "_reads"])
def test_history_cannot_write(story: Storyteller, history: History, how: str) -> None:
    """The database refuses it, not our good will; whichever way the history asks it."""
    engine: Engine = getattr(history, how)
    with engine.connect() as connection, pytest.raises(DBAPIError, match=r"readonly database|in a read-only transaction"):
        connection.exec_driver_sql("DELETE FROM champion")
    assert len(story.ledger.newest_drops(MODEL, 99)) == 9  # of ten, one is bad


def test_ledger_of_another_version_is_refused(story: Storyteller) -> None:
    """Instead of misread."""
    with writing(story) as writer:
        writer.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(PermanentError, match=rf"the ledger is of version 9999, this program reads {LATEST}"):
        open_history(story.url)


def test_file_that_is_no_database_is_refused(file: Path) -> None:
    """With one sentence."""
    path = file.parent / "ledger.db"
    path.write_text("this is a text of more than sixteen bytes, and no database at all\n" * 20)
    with pytest.raises(PermanentError, match="ledger: file is not a database"):
        open_history(f"sqlite:///{path}")


def test_one_daemon_holds_a_ledger_and_the_next_is_told_who(file: Path) -> None:
    """As long as it lives; looking at the lock takes it from nobody."""
    url = f"sqlite:///{file}"
    assert holder(url) is None
    with hold(url):
        assert holder(url) == os.getpid()
        with pytest.raises(PermanentError, match=rf"another daemon \(pid {os.getpid()}\) uses the ledger"), hold(url):
            pass
        assert holder(url) == os.getpid()
    assert holder(url) is None
    with hold(url):
        assert holder(url) == os.getpid()


def test_killed_daemon_holds_nothing(file: Path) -> None:
    """Its process id stays in the file and convinces nobody."""
    url = f"sqlite:///{file}"
    code = (
        f"import sys; from trainer_daemon.singleton import hold\nwith hold({url!r}): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stdout.readline() == b"held\n"
        assert holder(url) == child.pid
        child.kill()
    lock = lock_path(url)
    assert lock
    assert lock.read_text() == str(child.pid)
    assert holder(url) is None
    with hold(url):
        assert holder(url) == os.getpid()


def test_ledger_on_a_server_needs_no_lock_file() -> None:
    """It tells its daemons apart itself."""
    with hold("postgresql+psycopg://trainer@db/trainer"):
        assert holder("postgresql+psycopg://trainer@db/trainer") is None


def test_lock_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    """With the file that it is about."""
    (tmp_path / "var").touch()
    with (
        pytest.raises(TemporaryError, match=r"cannot write the lock file .*ledger.db.lock"),
        hold(f"sqlite:///{tmp_path}/var/ledger.db"),
    ):
        pass
