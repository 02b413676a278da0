"""What sources deliver, written down in a handful of statements for a whole batch, inside the caller's transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from trainer_daemon.adapters.ledger import queries, writes
from trainer_daemon.adapters.ledger.database import chunks
from trainer_daemon.adapters.ledger.reading import ids_of
from trainer_daemon.adapters.ledger.rows import drop_values, event_values
from trainer_daemon.policy.events import DatasetVersion, Event, EventKind, Rejection, Source

_NO_DROP = drop_values(DatasetVersion(uri="", generation="", checksum="", period=""))
_Key = tuple[str, str]


def receive(connection: Connection, batch: Sequence[Event | Rejection], now: datetime) -> list[bool]:
    """Write down what is new in a batch; for each of its entries, whether it was. The id of an event decides.

    Args:
        connection: In a transaction that holds the write lock.
        batch: In the order of arrival.
        now: Becomes the time of record.
    """
    batch = [_without_nul(entry) for entry in batch]
    before = ids_of(connection, queries.KNOWN_EVENTS, [_event(entry).id for entry in batch])
    known = set(before)
    fresh: list[Event | Rejection] = []
    news = []
    for entry in batch:
        event_id = _event(entry).id
        news.append(event_id not in known)
        if news[-1]:
            fresh.append(entry)
            known.add(event_id)
    _announce(connection, [event.id for event in map(_event, batch) if event.source is Source.PUBSUB and event.id in before])
    if fresh:
        first = connection.execute(writes.NEXT_EVENT).scalar_one()
        connection.execute(writes.ADD_EVENT, [_row(entry, now, first + at) for at, entry in enumerate(fresh)])
        _make_current(connection, [entry for entry in fresh if isinstance(entry, Event) and entry.kind is EventKind.DROP])
    return news


def _event(entry: Event | Rejection) -> Event:
    return entry.event if isinstance(entry, Rejection) else entry


def _without_nul(entry: Event | Rejection) -> Event | Rejection:
    """PostgreSQL keeps no NUL in a text, and names come from outside; what has one in its name has it in its id."""
    event = _event(entry)
    if "\x00" not in event.id:
        return entry
    drop = replace(event.drop, uri=_plain(event.drop.uri)) if event.drop else None
    event = replace(event, id=_plain(event.id), drop=drop)
    return replace(entry, event=event) if isinstance(entry, Rejection) else event


def _plain(text: str) -> str:
    return text.replace("\x00", "\ufffd")


def _announce(connection: Connection, ids: Sequence[str]) -> None:
    """A listing was faster; the daemon that made it may be another one, and wait for the notification."""
    for some in chunks(ids):
        connection.execute(writes.ANNOUNCE_EVENTS, {"of_events": some})


def _row(entry: Event | Rejection, now: datetime, sequence: int) -> dict[str, Any]:
    """Every column in every row, as a statement for many rows wants it."""
    rejected = isinstance(entry, Rejection)
    closed = {"outcome": "rejected" if rejected else "pending", "why": entry.why if isinstance(entry, Rejection) else ""}
    return {**_NO_DROP, **event_values(_event(entry)), **closed, "recorded_at": now, "sequence": sequence}


def _make_current(connection: Connection, arrivals: Sequence[Event]) -> None:
    """Remember the newest version of each object; an older one that comes late changes nothing where the store orders them."""
    positions = _positions(connection, arrivals)
    before = frozenset(positions)
    newest: dict[_Key, dict[str, Any]] = {}
    for event in arrivals:
        if event.drop is None:
            continue
        key = (event.model, event.drop.uri)
        position = event.order if event.order is not None else positions.get(key, 0) + 1
        if key not in positions or position > positions[key]:
            positions[key] = position
            newest[key] = {**drop_values(event.drop), "signature": event.signature, "position": position, "model": event.model}
    _put(connection, writes.ADD_DROP, (row for key, row in newest.items() if key not in before))
    changed = ({**row, "of_model": key[0], "of_uri": key[1]} for key, row in newest.items() if key in before)
    _put(connection, writes.CHANGE_DROP, changed)


def _positions(connection: Connection, arrivals: Sequence[Event]) -> dict[_Key, int]:
    """Of the objects of these arrivals that are known already."""
    found: dict[_Key, int] = {}
    for model in {event.model for event in arrivals}:
        uris = sorted({event.drop.uri for event in arrivals if event.drop is not None and event.model == model})
        for some in chunks(uris):
            rows = connection.execute(queries.POSITIONS, {"model": model, "uris": some})
            found |= {(model, uri): position for uri, position in rows}
    return found


def _put(connection: Connection, statement: Any, rows: Iterable[Mapping[str, Any]]) -> None:  # noqa: ANN401 - insert or update
    if values := list(rows):
        connection.execute(statement, values)
