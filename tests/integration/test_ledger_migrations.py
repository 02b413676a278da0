"""Migrations on every database: from nothing, and from every earlier version with a whole past in it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, create_engine, inspect, text

from tests.builders import MODEL
from tests.integration.ledger_story import a_whole_past
from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.adapters.ledger.history import open_history
from trainer_daemon.adapters.ledger.migrating import LATEST, MIGRATIONS
from trainer_daemon.adapters.ledger.tables import metadata
from trainer_daemon.errors import PermanentError

if TYPE_CHECKING:
    from tests.emulators.postgres import PostgresServer

SCRIPTS = ScriptDirectory(str(MIGRATIONS))
EARLIER = [script.revision for script in SCRIPTS.walk_revisions() if script.revision != LATEST]


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/empty.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name = server.create()
    yield server.url(name)
    server.drop(name)


@pytest.fixture(scope="module")
def past_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A ledger of today in which everything has happened."""
    path = tmp_path_factory.mktemp("past") / "ledger.db"
    a_whole_past(path).ledger.close()
    return f"sqlite:///{path}"


def test_migrations_arrive_at_the_tables_that_the_code_uses(ledger_url: str) -> None:
    """And the daemon's idea of the newest migration is true."""
    Ledger(ledger_url).close()
    engine = create_engine(ledger_url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()
    assert SCRIPTS.get_current_head() == LATEST


@pytest.mark.parametrize("version", EARLIER)
def test_ledger_of_an_earlier_version_is_upgraded_with_everything_in_it(version: str, past_url: str, empty_url: str) -> None:
    """Every row of a whole past is there afterwards, and the new tables can be written."""
    a_ledger_of_version(version, empty_url, rows_of=past_url)
    with pytest.raises(PermanentError, match=f"is of version {version}"):
        open_history(empty_url)
    with Ledger(empty_url):
        pass
    old, new = open_history(past_url), open_history(empty_url)
    assert old
    assert new
    with old, new:
        assert new.runs(MODEL) == old.runs(MODEL)
        assert len(new.runs(MODEL)) > 5
        assert new.happenings(MODEL) == old.happenings(MODEL)
        assert new.reigns(MODEL) == old.reigns(MODEL)
        keys = [run.key for run in old.runs(MODEL)]
        assert [new.transitions(key) for key in keys] == [old.transitions(key) for key in keys]
        assert [new.judgements(key) for key in keys] == [old.judgements(key) for key in keys]


def a_ledger_of_version(version: str, url: str, *, rows_of: str) -> None:
    """A ledger as an earlier daemon left it, with as much of another one's rows as it has tables for."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine, past = create_engine(url), create_engine(rows_of)
    with engine.begin() as connection, past.connect() as source:
        config.attributes["connection"] = connection
        command.upgrade(config, version)
        _copy(source, connection)
    engine.dispose()
    past.dispose()


def _copy(source: Connection, connection: Connection) -> None:
    """Every row of every table that is there, in an order that foreign keys allow; the database goes on counting after it."""
    there = MetaData()
    there.reflect(connection)
    for table in there.sorted_tables:
        if table.name == "alembic_version":
            continue
        columns = [metadata.tables[table.name].c[column.name] for column in table.c]
        rows = [dict(row) for row in source.execute(metadata.tables[table.name].select().with_only_columns(*columns)).mappings()]
        if rows:
            connection.execute(metadata.tables[table.name].insert(), rows)
        if connection.dialect.name == "postgresql" and isinstance(rows and rows[0].get("id"), int):
            connection.execute(text(f"SELECT setval('{table.name}_id_seq', (SELECT max(id) FROM {table.name}))"))  # noqa: S608 - ours


def test_ledger_of_a_newer_daemon_is_refused(ledger_url: str) -> None:
    """Guessing its meaning would be worse."""
    with Ledger(ledger_url) as ledger, ledger._engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(PermanentError, match="newer daemon"):
        Ledger(ledger_url)


def test_of_two_daemons_that_start_at_once_one_makes_the_tables(empty_url: str) -> None:
    """The other one waits for it, and finds them made."""
    with ThreadPoolExecutor(4) as pool:
        for opened in [pool.submit(Ledger, empty_url) for _ in range(4)]:
            opened.result().close()
    engine = create_engine(empty_url)
    assert inspect(engine).has_table("run")
    engine.dispose()
