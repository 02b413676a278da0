"""The messages of one subscription: all SQL about them, no rule about what is delivered when.

An entry is visible from a time on; leasing it moves that time into the future, so a lease that nobody extends ends by itself.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_INSERT = "insert into entry (subscription, message_id, ordering_key, message, visible_at) values (?, ?, ?, ?, ?)"
_WAITING = """select number, message, attempts from entry e
    where subscription = ? and acked = 0 and lease = 0 and visible_at <= ? and message_id >= ?"""
_FIRST_OF_KEY = """ and (ordering_key = '' or not exists (
    select 1 from entry o where o.subscription = e.subscription and o.acked = 0 and o.ordering_key != ''
    and o.ordering_key = e.ordering_key and o.number < e.number))"""
_LEASE = "update entry set lease = ?, visible_at = ?, stream = ?, attempts = ? where number = ?"
_FIND = "select number, message, attempts from entry where number = ? and lease = ? and subscription = ? and visible_at > ?"
_EXTEND = "update entry set visible_at = ? where number = ? and lease = ? and subscription = ? and visible_at > ?"
_ACK = """update entry set acked = 1, acked_at = ?, lease = 0, stream = 0
    where number = ? and lease = ? and subscription = ? and visible_at > ?"""
_ACK_AND_FORGET = "delete from entry where number = ? and lease = ? and subscription = ? and visible_at > ?"
_SEEK_TO_TIME = """update entry set acked = message_id < ?,
    attempts = 0, lease = 0, stream = 0, visible_at = ? where subscription = ?"""
_SEEK_TO_SNAPSHOT = """update entry set acked = message_id in (select message_id from snapshot_ack where snapshot = ?),
    attempts = 0, lease = 0, stream = 0, visible_at = ? where subscription = ?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One message in one subscription; `attempts` counts its deliveries so far."""

    number: int
    message: bytes
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """An entry that somebody works on until a time; `stream` 0 is a plain pull."""

    entry: Entry
    number: int
    until: float
    stream: int

    @property
    def ack_id(self) -> str:
        """What the subscriber names it by."""
        return f"{self.entry.number}-{self.number}"


class Entries:
    """What one subscription keeps.

    Args:
        database: Where.
        subscription: Its name.
    """

    def __init__(self, database: sqlite3.Connection, subscription: str) -> None:
        self._database = database
        self._subscription = subscription

    def add(self, message_id: int, ordering_key: str, message: bytes, visible_at: Iterable[float]) -> None:
        """Keep one entry for each of the times it shall be visible from."""
        rows = [(self._subscription, message_id, ordering_key, message, at) for at in visible_at]
        self._database.executemany(_INSERT, rows)

    def waiting(self, now: float, limit: int, *, oldest: float, ordered: bool) -> Iterator[Entry]:
        """Entries that may be delivered, first in, first out.

        Args:
            now: The time.
            limit: How many at most.
            oldest: What was published before this time is outdated.
            ordered: Of each ordering key only the first that is not acked.
        """
        query = f"{_WAITING}{_FIRST_OF_KEY if ordered else ''} order by number limit ?"
        values = (self._subscription, now, microseconds(oldest), limit)
        yield from map(_entry, self._database.execute(query, values).fetchall())

    def lease(self, leases: Sequence[Lease]) -> None:
        """Hand entries out."""
        rows = [(lease.number, lease.until, lease.stream, lease.entry.attempts, lease.entry.number) for lease in leases]
        self._database.executemany(_LEASE, rows)

    def expired(self, now: float) -> list[Entry]:
        """Entries whose lease has ended unanswered."""
        query = "select number, message, attempts from entry where subscription = ? and lease != 0 and visible_at <= ?"
        return [_entry(row) for row in self._database.execute(query, (self._subscription, now))]

    def find(self, ack_id: str, now: float) -> Entry | None:
        """The entry of a lease that has not ended."""
        row = self._database.execute(_FIND, self._named(ack_id, now)).fetchone()
        return _entry(row) if row else None

    def extend(self, ack_id: str, now: float, until: float) -> bool:
        """Prolong a lease; False when it has ended."""
        return bool(self._database.execute(_EXTEND, (until, *self._named(ack_id, now))).rowcount)

    def settle(self, ack_id: str, now: float, *, keep: bool) -> bool:
        """Acknowledge; False when the lease has ended. Kept entries can be delivered again after a seek."""
        named = self._named(ack_id, now)
        done = self._database.execute(_ACK, (now, *named)) if keep else self._database.execute(_ACK_AND_FORGET, named)
        return bool(done.rowcount)

    def acked(self) -> list[tuple[bytes, float]]:
        """Of the acknowledged entries that are kept: the message, and when it was acknowledged, in seconds since 1970."""
        query = "select message, acked_at from entry where subscription = ? and acked = 1 order by number"
        return self._database.execute(query, (self._subscription,)).fetchall()

    def release(self, entry: Entry, visible_at: float) -> None:
        """End a lease without an answer."""
        query = "update entry set lease = 0, stream = 0, visible_at = ? where number = ?"
        self._database.execute(query, (visible_at, entry.number))

    def remove(self, entry: Entry) -> None:
        """Forget an entry."""
        self._database.execute("delete from entry where number = ?", (entry.number,))

    def remove_all(self) -> None:
        """Forget everything, the tally too."""
        for query in ("delete from entry where subscription = ?", "delete from tally where subscription = ?"):
            self._database.execute(query, (self._subscription,))

    def seek_to_time(self, published_at: float, now: float) -> None:
        """What was published before is acked, what was published from then on is not."""
        self._database.execute(_SEEK_TO_TIME, (microseconds(published_at), now, self._subscription))

    def seek_to_snapshot(self, snapshot: str, now: float) -> None:
        """What was acked when the snapshot was made is acked, everything else is not."""
        self._database.execute(_SEEK_TO_SNAPSHOT, (snapshot, now, self._subscription))

    def snapshot(self, name: str) -> None:
        """Remember what is acked."""
        query = "insert into snapshot_ack select ?, message_id from entry where subscription = ? and acked = 1"
        self._database.execute(query, (name, self._subscription))

    def held(self, stream: int) -> tuple[int, int]:
        """How many messages and bytes a stream works on."""
        query = "select count(*), coalesce(sum(length(message)), 0) from entry where stream = ?"
        messages, size = self._database.execute(query, (stream,)).fetchone()
        return messages, size

    def next_due(self, now: float) -> float | None:
        """When the next entry becomes visible."""
        query = "select min(visible_at) from entry where subscription = ? and acked = 0 and visible_at > ?"
        due: float | None = self._database.execute(query, (self._subscription, now)).fetchone()[0]
        return due

    def tally(self, fact: str, number: int = 1) -> None:
        """Count something that happened."""
        query = "insert into tally values (?, ?, ?) on conflict do update set number = number + excluded.number"
        self._database.execute(query, (self._subscription, fact, number))

    def counts(self) -> Counter[str]:
        """What happened so far, and as `backlog` what is not acked."""
        counts: Counter[str] = Counter()
        counts.update(
            dict(self._database.execute("select fact, number from tally where subscription = ?", (self._subscription,)))
        )
        query = "select count(*) from entry where subscription = ? and acked = 0"
        counts["backlog"] = self._database.execute(query, (self._subscription,)).fetchone()[0]
        return counts

    def _named(self, ack_id: str, now: float) -> tuple[int, int, str, float]:
        number, _, lease = ack_id.partition("-")
        known = number.isdecimal() and lease.isdecimal()
        return (int(number), int(lease), self._subscription, now) if known else (0, 0, "", now)


def microseconds(time: float) -> int:
    """The identifier that a message has that is published at this time, in seconds since 1970."""
    return int(time * 1e6)


def _entry(row: tuple[int, bytes, int]) -> Entry:
    number, message, attempts = row
    return Entry(number=number, message=message, attempts=attempts)
