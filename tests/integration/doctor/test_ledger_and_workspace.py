import sqlite3
from pathlib import Path

import pytest

from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.adapters.ledger.doctor import ledger_state
from trainer_daemon.adapters.ledger.migrating import LATEST
from trainer_daemon.bootstrap import clock
from trainer_daemon.config import Settings, check_settings
from trainer_daemon.doctor.ledger import ledger_probe
from trainer_daemon.doctor.machine import pipelines_probe, workspace_probe
from trainer_daemon.errors import TemporaryError
from trainer_daemon.policy.checks import Check, Status
from trainer_daemon.probing import Probe, examine
from trainer_daemon.singleton import hold


def settings_in(folder: Path, **changes: object) -> Settings:
    """The settings of a configuration file in a folder."""
    return check_settings({"models": [{"name": "churn", "bucket": "drops"}], **changes}, {}, folder=folder)


def checked(probe: Probe) -> Check:
    """What comes out."""
    (check,) = examine([probe])
    return check


def test_ledger_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    """The daemon makes it."""
    check = checked(ledger_probe(settings_in(tmp_path), clock))
    assert (check.status, "does not exist yet" in check.found) == (Status.OK, True)
    assert list(tmp_path.iterdir()) == []


def test_ledger_in_use_is_fine_and_stays_as_it_is(tmp_path: Path) -> None:
    """Its version is shown, and who uses it."""
    settings = settings_in(tmp_path)
    with hold(settings.ledger), Ledger(settings.ledger):
        before = dump(tmp_path / "var" / "ledger.db")
        check = checked(ledger_probe(settings, clock))
    assert check.status is Status.OK
    assert f"schema {LATEST}, writable, a daemon uses it (pid " in check.found
    assert dump(tmp_path / "var" / "ledger.db") == before


def dump(path: Path) -> list[str]:
    """Everything in a database."""
    connection = sqlite3.connect(path)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def test_empty_database_stays_empty(tmp_path: Path) -> None:
    """What was tried in it is taken back."""
    path = tmp_path / "empty.db"
    path.touch()
    assert ledger_state(f"sqlite:///{path}", clock).version == ""
    assert dump(path) == ["BEGIN TRANSACTION;", "COMMIT;"]


def test_ledger_that_somebody_locks_has_failed(tmp_path: Path) -> None:
    """For longer than anybody waits."""
    settings = settings_in(tmp_path)
    with Ledger(settings.ledger):
        connection = sqlite3.connect(tmp_path / "var" / "ledger.db", isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(TemporaryError, match="database is locked; see that sqlite:///"):
            ledger_state(settings.ledger, clock)
        connection.close()


def test_ledger_of_a_newer_daemon_has_failed(tmp_path: Path) -> None:
    """The fix is to upgrade."""
    settings = settings_in(tmp_path)
    with Ledger(settings.ledger):
        pass
    connection = sqlite3.connect(tmp_path / "var" / "ledger.db", isolation_level=None)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    check = checked(ledger_probe(settings, clock))
    assert (check.status, check.fix) == (Status.FAILED, "upgrade it, a newer daemon has used the ledger")


def test_file_that_is_no_database_has_failed(tmp_path: Path) -> None:
    """It may be a typo in `ledger`."""
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "ledger.db").write_text("month,churn\n" * 1000)
    check = checked(ledger_probe(settings_in(tmp_path), clock))
    assert (check.status, "not a database" in check.found) == (Status.FAILED, True)
    assert "is the right database" in check.fix


def test_workspace_is_looked_at_without_being_made(tmp_path: Path) -> None:
    """How much room there is depends on the machine, that it can be written does not."""
    check = checked(workspace_probe(settings_in(tmp_path, workspace="a/b/c")))
    assert "a/b/c is writable, " in check.found
    assert list(tmp_path.iterdir()) == []


def test_workspace_that_is_a_file_has_failed(tmp_path: Path) -> None:
    """As one that may not be written."""
    (tmp_path / "var").write_text("")
    check = checked(workspace_probe(settings_in(tmp_path)))
    assert (check.status, "cannot be written: Not a directory" in check.found) == (Status.FAILED, True)
    assert f"permissions of {tmp_path / 'var'}" in check.fix


def test_pipelines_are_compiled_with_their_digest(tmp_path: Path) -> None:
    """Beside a workspace that does not exist; one of your own is read."""
    settings = settings_in(tmp_path)
    check = checked(pipelines_probe(settings))
    assert (check.status, list(tmp_path.iterdir())) == (Status.OK, [])
    assert "evaluation, hello, inference, training compile, digest " in check.found

    settings.workspace.mkdir()
    assert checked(pipelines_probe(settings)).status is Status.OK
    (compiled,) = (settings.workspace / "pipelines").iterdir()
    own = settings_in(tmp_path, models=[{"name": "c", "bucket": "d", "training": {"pipeline": str(compiled / "hello.yaml")}}])
    assert "hello.yaml is readable, digest " in checked(pipelines_probe(own)).found


def test_own_pipeline_that_is_none_has_failed(tmp_path: Path) -> None:
    """Before the first drop finds out."""
    (tmp_path / "mine.yaml").write_text("steps: [train]\n")
    models = [{"name": "churn", "bucket": "drops", "training": {"pipeline": "mine.yaml"}}]
    check = checked(pipelines_probe(settings_in(tmp_path, models=models)))
    assert (check.status, "mine.yaml is no compiled pipeline: " in check.found) == (Status.FAILED, True)
    assert check.fix == "compile it anew with this version of kfp"
