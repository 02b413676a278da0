"""Everything the emulator must not forget, in SQLite: with a file it survives `kill -9`."""

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

_SCHEMA = """
create table if not exists resource (collection text, name text, config blob not null, primary key (collection, name));
create table if not exists snapshot_ack (snapshot text, message_id integer, primary key (snapshot, message_id)) without rowid;
create table if not exists tally (subscription text, fact text, number integer, primary key (subscription, fact)) without rowid;
create table if not exists entry (
    number integer primary key autoincrement,
    subscription text not null,
    message_id integer not null,
    ordering_key text not null,
    message blob not null,
    visible_at real not null,
    attempts integer not null default 0,
    acked integer not null default 0,
    acked_at real not null default 0,
    lease integer not null default 0,
    stream integer not null default 0
);
create index if not exists waiting on entry (subscription, number) where acked = 0 and lease = 0;
create index if not exists due on entry (subscription, visible_at) where acked = 0;
create index if not exists leased on entry (subscription, visible_at) where lease != 0;
create index if not exists held on entry (stream, length(message)) where stream != 0;
create index if not exists ordered on entry (subscription, ordering_key, number) where acked = 0 and ordering_key != '';
"""


class Store:
    """One database, used by one thread.

    Args:
        path: The file; None keeps everything in memory.
    """

    def __init__(self, path: Path | None) -> None:
        self.database = sqlite3.connect(path or ":memory:")
        # without fsync: the process may be killed, the machine's loss of power is not what is tested
        self.database.executescript(f"pragma journal_mode = wal; pragma synchronous = off; {_SCHEMA}")

    def transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        """What is written inside is there as a whole or not at all."""
        return self.database

    def save(self, collection: str, name: str, config: bytes) -> None:
        """Create or replace a resource."""
        self.database.execute("insert or replace into resource values (?, ?, ?)", (collection, name, config))

    def delete(self, collection: str, name: str) -> None:
        """Delete a resource."""
        self.database.execute("delete from resource where collection = ? and name = ?", (collection, name))

    def find(self, collection: str, name: str) -> bytes | None:
        """The configuration of a resource, if it exists."""
        query = "select config from resource where collection = ? and name = ?"
        row = self.database.execute(query, (collection, name)).fetchone()
        return row[0] if row else None

    def load(self, collection: str) -> Iterator[tuple[str, bytes]]:
        """Names and configurations of one collection."""
        yield from self.database.execute("select name, config from resource where collection = ?", (collection,))

    def forget_snapshot(self, name: str) -> None:
        """Forget what a snapshot remembers."""
        self.database.execute("delete from snapshot_ack where snapshot = ?", (name,))

    def close(self) -> None:
        """Release the file."""
        self.database.close()
