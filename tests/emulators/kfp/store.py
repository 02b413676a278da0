"""Everything the server must not forget, in SQLite: with a file it survives `kill -9`."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

Document = dict[str, Any]

_SCHEMA = """
create table if not exists document (
    collection text not null,
    id text not null,
    scope text not null,
    name text not null,
    body text not null,
    primary key (collection, id)
);
create unique index if not exists one_name on document (collection, scope, name)
    where collection in ('experiment', 'pipeline', 'version');
create table if not exists workflow (
    run_id text primary key,
    attempt integer not null default 1,
    spec text,
    parameters text not null default '{}',
    is_open integer not null default 1,
    cancelled_at real
);
create index if not exists open_workflow on workflow (run_id) where is_open;
create table if not exists setting (name text primary key, value text not null);
create table if not exists request (
    number integer primary key autoincrement,
    time real not null,
    method text not null,
    path text not null,
    query text not null,
    status integer
);
"""


class NameTakenError(Exception):
    """Another document of the collection has this name in this scope."""


class Store:
    """One database, used by one thread.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.database = sqlite3.connect(path)
        # without fsync: the process may be killed, the machine's loss of power is not what is tested
        self.database.executescript(f"pragma journal_mode = wal; pragma synchronous = off; {_SCHEMA}")

    def transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        """What is written inside is there as a whole or not at all."""
        return self.database

    def add(self, collection: str, identity: str, body: Mapping[str, Any], *, scope: str, name: str) -> None:
        """Create a document.

        Args:
            collection: Such as `run`.
            identity: Unique in its collection.
            body: As the API shows it.
            scope: What names are unique in: a namespace, or a pipeline's id for its versions.
            name: What the user calls it.

        Raises:
            NameTakenError: Names are unique in this collection, and this one is used.
        """
        statement = "insert into document values (?, ?, ?, ?, ?)"
        try:
            self.database.execute(statement, (collection, identity, scope, name, json.dumps(body)))
        except sqlite3.IntegrityError as exc:
            raise NameTakenError(name) from exc

    def save(self, collection: str, identity: str, body: Mapping[str, Any]) -> None:
        """Replace a document's body."""
        statement = "update document set body = ? where collection = ? and id = ?"
        self.database.execute(statement, (json.dumps(body), collection, identity))

    def find(self, collection: str, identity: str) -> Document | None:
        """A document's body, if it exists."""
        return self._one("select body from document where collection = ? and id = ?", (collection, identity))

    def named(self, collection: str, scope: str, name: str) -> Document | None:
        """The body of the document with this name."""
        return self._one("select body from document where collection = ? and scope = ? and name = ?", (collection, scope, name))

    def newest(self, collection: str, scope: str) -> Document | None:
        """The body of the document of this scope that was created last."""
        return self._one(
            "select body from document where collection = ? and scope = ? order by rowid desc limit 1", (collection, scope)
        )

    def every(self, collection: str, scope: str) -> list[Document]:
        """The bodies of all documents of a scope."""
        rows = self.database.execute("select body from document where collection = ? and scope = ?", (collection, scope))
        return [json.loads(body) for (body,) in rows]

    def scope(self, collection: str, identity: str) -> str:
        """The scope of a document that exists."""
        query = "select scope from document where collection = ? and id = ?"
        return str(self.database.execute(query, (collection, identity)).fetchone()[0])

    def delete(self, collection: str, identity: str) -> bool:
        """Delete a document; False when there is none."""
        statement = "delete from document where collection = ? and id = ?"
        return self.database.execute(statement, (collection, identity)).rowcount == 1

    def setting(self, name: str, default: Any) -> Any:  # noqa: ANN401 - JSON
        """What a test has set."""
        row = self.database.execute("select value from setting where name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else default

    def set(self, name: str, value: Any) -> None:  # noqa: ANN401 - JSON
        """Remember a setting."""
        with self.transaction():
            self.database.execute("insert or replace into setting values (?, ?)", (name, json.dumps(value)))

    def clear(self) -> None:
        """Be as in the beginning."""
        with self.transaction():
            for table in ("document", "workflow", "setting", "request", "sqlite_sequence"):
                self.database.execute(f"delete from {table}")  # noqa: S608 - made of constants

    def close(self) -> None:
        """Release the file."""
        self.database.close()

    def _one(self, query: str, values: Sequence[str]) -> Document | None:
        row = self.database.execute(query, values).fetchone()
        return json.loads(row[0]) if row else None
