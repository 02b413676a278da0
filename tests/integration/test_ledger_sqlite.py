"""What a ledger on SQLite promises beside what every ledger does."""

from pathlib import Path

from trainer_daemon.adapters.ledger import Ledger


def test_commits_are_durable_against_power_cuts(tmp_path: Path) -> None:
    """Write-ahead log, synchronised on every commit; a folder that is not there is made."""
    with Ledger(f"sqlite:///{tmp_path}/var/ledger.db") as ledger, ledger._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
