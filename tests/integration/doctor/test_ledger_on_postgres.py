"""What `doctor` says of a ledger on PostgreSQL."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.emulators.postgres import PASSWORD, PostgresServer
from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.adapters.ledger.doctor import LedgerState, ledger_state
from trainer_daemon.adapters.ledger.migrating import LATEST
from trainer_daemon.bootstrap import clock
from trainer_daemon.config import Settings, check_settings
from trainer_daemon.doctor.clocks import clock_probes
from trainer_daemon.doctor.ledger import judge_server, ledger_probe
from trainer_daemon.policy.checks import Check, Status
from trainer_daemon.probing import examine

FAR = {"kind": "kubeflow", "host": "http://kfp.test", "image": "i"}


def settings_of(url: str, folder: Path, **changes: Any) -> Settings:  # noqa: ANN401 - any key
    """A configuration with this ledger."""
    table = {"ledger": url, "models": [{"name": "churn", "bucket": "drops"}], **changes}
    return check_settings(table, {}, folder=folder)


def checked(url: str, folder: Path, **changes: Any) -> Check:  # noqa: ANN401 - any key
    """What comes out."""
    (check,) = examine([ledger_probe(settings_of(url, folder, **changes), clock)])
    return check


def test_ledger_is_found_with_its_version_and_stays_as_it_is(postgres_server: PostgresServer, tmp_path: Path) -> None:
    """Before and after the daemon has made its tables; the password is not shown."""
    name = postgres_server.create()
    url = postgres_server.url(name)
    empty = checked(url, tmp_path, orchestrator=FAR)
    assert (empty.status, "empty, the daemon makes its tables, writable, PostgreSQL 18" in empty.found) == (Status.OK, True)
    assert postgres_server.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", name) == [(0,)]
    with Ledger(url):
        made = checked(url, tmp_path, orchestrator=FAR)
    assert f"schema {LATEST}, writable" in made.found
    assert PASSWORD not in empty.found + made.found
    postgres_server.drop(name)


def test_runs_of_this_machine_only_are_a_warning(postgres_url: str, tmp_path: Path) -> None:
    """Another daemon would call them lost."""
    check = checked(postgres_url, tmp_path)
    assert check.status is Status.WARNING
    assert "runs exist only on the machine that started them" in check.found


def test_account_that_may_not_migrate_has_failed(postgres_server: PostgresServer, postgres_url: str, tmp_path: Path) -> None:
    """Neither one that may make no table, nor one whose tables are somebody else's."""
    role = f"reader_{postgres_url.rpartition('_')[2]}"
    name = postgres_url.rpartition("/")[2]
    postgres_server.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
    url = postgres_url.replace("trainer:", f"{role}:")
    postgres_server.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}", name)
    refused = checked(url, tmp_path)
    assert (refused.status, "permission denied for schema public" in refused.found) == (Status.FAILED, True)
    postgres_server.execute(f"GRANT CREATE ON SCHEMA public TO {role}", name)
    foreign = checked(url, tmp_path)
    assert (foreign.status, "its tables belong to another account" in foreign.found) == (Status.FAILED, True)
    assert PASSWORD not in refused.found + refused.fix + foreign.found + foreign.fix
    postgres_server.execute(f"DROP OWNED BY {role}", name)
    postgres_server.execute(f"DROP ROLE {role}")


def test_server_that_is_not_there_has_failed(tmp_path: Path) -> None:
    """With its address, and without a password."""
    check = checked(f"postgresql+psycopg://ann:{PASSWORD}@127.0.0.1:9/x", tmp_path)
    assert check.status is Status.FAILED
    assert "127.0.0.1" in check.found + check.fix
    assert PASSWORD not in check.found + check.fix


def test_clock_is_compared_with_that_of_the_server(postgres_url: str, tmp_path: Path) -> None:
    """Leases do not need it; moments in logs and in the ledger do."""
    assert ledger_state(postgres_url, clock).clock_ahead_s == 0.0
    assert round(ledger_state(postgres_url, lambda: clock() - timedelta(minutes=5)).clock_ahead_s) == 300
    (right,) = examine(clock_probes(settings_of(postgres_url, tmp_path), clock, {}))
    assert (right.status, right.found.startswith("agrees with 127.0.0.1:")) == (Status.OK, True)
    (wrong,) = examine(clock_probes(settings_of(postgres_url, tmp_path), lambda: clock() + timedelta(minutes=5), {}))
    assert (wrong.status, "300 s ahead of 127.0.0.1:" in wrong.found) == (Status.FAILED, True)


def test_old_server_is_a_warning() -> None:
    """It may work, and nobody has tried."""
    state = LedgerState(version=LATEST, server="PostgreSQL 9.6", server_major=9)
    assert judge_server(state, "f", orchestrator="kubeflow").status is Status.WARNING
