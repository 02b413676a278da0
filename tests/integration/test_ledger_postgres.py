"""What a ledger on PostgreSQL promises beside what every ledger does: a server that goes, refuses, or does not answer."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.builders import MODEL, NOW, a_drop, a_drop_event
from tests.emulators.postgres import PASSWORD, PostgresServer
from tests.emulators.proxy import Proxy
from trainer_daemon.adapters.ledger import Ledger, postgres
from trainer_daemon.adapters.ledger.database import REPEATS_MAX
from trainer_daemon.adapters.ledger.postgres import CALL_S, lock_writes
from trainer_daemon.adapters.ledger.statistics import Statistics
from trainer_daemon.errors import PermanentError, TemporaryError
from trainer_daemon.policy.plan import Proposal

GIVEN_UP_S_MAX = 60.0
"""A busy machine needs longer than a second for two calls of a second each."""


@pytest.fixture
def ledger(postgres_url: str) -> Iterator[Ledger]:
    """An empty ledger."""
    with Ledger(postgres_url) as opened:
        yield opened


def execute(ledger: Ledger, *statements: str) -> None:
    """As somebody else would."""
    with ledger._engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def database(url: str) -> str:
    """The name of the database in a URL."""
    return url.rpartition("/")[2]


def test_connections_that_were_closed_by_the_server_are_replaced(
    ledger: Ledger, postgres_url: str, postgres_server: PostgresServer
) -> None:
    """Nobody notices: not who writes, not who reads."""
    ledger.record([a_drop_event()], NOW)
    ended = postgres_server.execute(
        f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{database(postgres_url)}'"  # noqa: S608
    )
    assert ended != [(0,)]
    assert ledger.next_pending(MODEL) is not None
    assert ledger.record([a_drop_event(a_drop("2025-05"))], NOW) == [True]


def test_server_that_is_killed_is_a_temporary_error_until_it_is_back(tmp_path: Path) -> None:
    """Whatever had been committed is there."""
    with closing(PostgresServer(tmp_path)) as server:
        server.start()
        with Ledger(server.url(server.create())) as ledger:
            ledger.record([a_drop_event()], NOW)
            server.kill()
            for ask in (lambda: ledger.next_pending(MODEL), lambda: ledger.record([a_drop_event(a_drop("2025-05"))], NOW)):
                with pytest.raises(TemporaryError, match="ledger: ") as caught:
                    ask()
                assert "\n" not in str(caught.value)
                assert PASSWORD not in str(caught.value)
            server.start()
            assert ledger.next_pending(MODEL) == a_drop_event()
            assert ledger.record([a_drop_event()], NOW) == [False]


def test_server_that_does_not_answer_is_given_up(
    postgres_url: str, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packets vanish, and nobody says so; when they come through again, so do the next calls."""
    with closing(Proxy(postgres_server.port)) as proxy:
        url = postgres_server.url(database(postgres_url), port=proxy.port)
        with Ledger(url) as ledger:
            ledger.record([a_drop_event()], NOW)
            monkeypatch.setattr(postgres, "CALL_S", 1.0)
            proxy.cut()
            began = time.monotonic()
            with pytest.raises(TemporaryError):
                ledger.record([a_drop_event(a_drop("2025-05"))], NOW)
            with pytest.raises(TemporaryError):
                ledger.next_pending(MODEL)
            assert time.monotonic() - began < GIVEN_UP_S_MAX
            proxy.mend()
            monkeypatch.undo()
            assert ledger.next_pending(MODEL) == a_drop_event()


@pytest.mark.parametrize("state", ["40001", "40P01"], ids=["serialization failure", "deadlock"])
@pytest.mark.parametrize(("failures", "succeeds"), [(2, True), (99, False)])
def test_transaction_that_the_database_gave_up_is_repeated(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, state: str, failures: int, *, succeeds: bool
) -> None:
    """A few times; nothing of it had happened."""
    monkeypatch.setattr("trainer_daemon.adapters.ledger.database._PAUSE_S", 0.001)
    execute(
        ledger,
        "CREATE SEQUENCE tries",
        "CREATE FUNCTION give_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF nextval('tries') <= {failures} THEN RAISE EXCEPTION 'given up' USING ERRCODE = '{state}'; END IF; "
        "RETURN NEW; END $$",
        "CREATE TRIGGER gives_up BEFORE INSERT ON event FOR EACH ROW EXECUTE FUNCTION give_up()",
    )
    if succeeds:
        assert ledger.record([a_drop_event()], NOW) == [True]
        assert ledger.record([a_drop_event()], NOW) == [False]
        return
    with pytest.raises(TemporaryError, match="given up"):
        ledger.record([a_drop_event()], NOW)
    with ledger._engine.begin() as connection:
        assert connection.execute(text("SELECT last_value FROM tries")).scalar() == REPEATS_MAX + 1


def test_writer_that_stops_in_the_middle_holds_nobody_up(postgres_url: str) -> None:
    """The server ends its transaction; what it would have written is not there."""
    with Ledger(postgres_url) as stopped, Ledger(postgres_url) as other:
        connection = stopped._engine.connect()
        limit = "idle_in_transaction_session_timeout"
        assert connection.execute(text(f"SELECT setting FROM pg_settings WHERE name = '{limit}'")).scalar() == "240000"  # noqa: S608
        connection.execute(text(f"SET {limit} = '500ms'"))
        began = time.monotonic()
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        assert other.record([a_drop_event()], NOW) == [True]
        assert time.monotonic() - began > 0.2
        connection.invalidate()
        connection.close()
    Ledger(postgres_url).close()


def test_server_is_told_to_give_up_before_its_caller_does(ledger: Ledger) -> None:
    """Whoever writes, and whoever looks."""
    assert postgres.LOCK_S < postgres.STATEMENT_S < CALL_S
    limits = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
    for engine in (ledger._engine, ledger._reads):
        with engine.connect() as connection:
            assert {connection.execute(text(f"SHOW {limit}")).scalar() for limit in limits} == {"4min"}  # of a patient test


def test_wait_for_a_lock_ends(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a temporary error; somebody else is at work for too long."""
    monkeypatch.setitem(postgres._SETTINGS, "lock_timeout", "200ms")
    with Ledger(postgres_url) as busy, Ledger(postgres_url) as other:
        with busy._engine.connect() as connection:
            lock_writes(connection)
            with pytest.raises(TemporaryError, match="lock timeout"):
                other.record([a_drop_event()], NOW)
        assert other.record([a_drop_event()], NOW) == [True]


def test_standby_that_is_not_promoted_yet_is_a_temporary_error(postgres_url: str, postgres_server: PostgresServer) -> None:
    """After a failover the same name leads to it."""
    postgres_server.execute(f'ALTER DATABASE "{database(postgres_url)}" SET default_transaction_read_only = on')
    with Ledger(postgres_url) as ledger, pytest.raises(TemporaryError, match="read-only transaction"):
        ledger.record([a_drop_event()], NOW)


def test_missing_right_is_a_permanent_error(ledger: Ledger) -> None:
    """Trying again mends nothing."""
    execute(ledger, "ALTER TABLE event RENAME TO elsewhere")
    with pytest.raises(PermanentError, match='relation "event" does not exist'):
        ledger.record([a_drop_event()], NOW)


def test_texts_are_sorted_by_their_bytes_in_a_database_that_sorts_otherwise(
    ledger: Ledger, postgres_server: PostgresServer
) -> None:
    """Periods, and names within one; as every ledger that these tests make on PostgreSQL, this one is in such a database."""
    if not postgres_server.sorts_backwards:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs localedef: apt-get install libc-bin")
    assert postgres_server.execute("SELECT 'a' > 'b', '2025-03' > '2025-05'") == [(True, True)]
    names = ["Z", "_", "a", "a_b", "ab", "é"]
    drops = [a_drop("2025-03"), *(replace(a_drop("2025-05"), uri=f"file:///drops/{name}") for name in names), a_drop("2025-06")]
    ledger.record([a_drop_event(drop) for drop in drops], NOW)
    assert [drop.uri for drop in ledger.newest_drops(MODEL, 99)] == [drop.uri for drop in reversed(drops)]
    assert [drop.period for drop in ledger.newest_drops(MODEL, 99, up_to="2025-04")] == ["2025-03"]
    while event := ledger.next_pending(MODEL):
        assert event.drop
        ledger.enqueue(event, Proposal(drops=(event.drop,), key=event.drop.uri[-63:]), attempts_max=1, now=NOW)
    assert [run.period for run in ledger.live_runs(MODEL)] == sorted(drop.period for drop in drops)


def test_nobody_learns_the_password(postgres_url: str) -> None:
    """Not from an error, not from what a ledger says of itself."""
    wrong = postgres_url.replace(PASSWORD, "wrong-s3cret")
    with pytest.raises(TemporaryError, match="password authentication failed") as caught:
        Ledger(wrong)
    assert "wrong-s3cret" not in f"{caught.value} {caught.value.__cause__}"
    with Ledger(postgres_url) as ledger:
        assert PASSWORD not in f"{ledger!r} {ledger._engine!r} {ledger._reads!r}"


def test_metrics_wait_for_no_daemon(postgres_server: PostgresServer) -> None:
    """A ledger that is not made yet is no bug."""
    name = postgres_server.create()
    with closing(Statistics(postgres_server.url(name), (MODEL,), ())) as statistics, pytest.raises(PermanentError):
        statistics.standings()
    postgres_server.drop(name)


def test_daemon_on_sqlite_does_not_load_the_driver(tmp_path: Path) -> None:
    """It would cost memory and a part of the start."""
    code = (
        "import sys; import trainer_daemon.bootstrap as b; "
        f"b.Ledger('sqlite:///{tmp_path}/l.db').close(); print('psycopg' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240)
    assert done.stdout.strip() == "False"
