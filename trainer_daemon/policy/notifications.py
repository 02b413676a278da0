"""What a message of Pub/Sub says of a bucket: drops that arrived, nothing of interest, or nothing at all. Pure.

The messages are those of Cloud Storage (cloud.google.com/storage/docs/pubsub-notifications): attributes that say what happened
to which generation of which object, and the object's resource as JSON.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trainer_daemon.errors import InvalidEvent
from trainer_daemon.policy.events import (
    NO_MONTH,
    DatasetVersion,
    Event,
    EventKind,
    Rejection,
    Source,
    drop_event_id,
    is_misnamed_data,
    looks_like_drop,
    no_drop,
    parse_period,
)
from trainer_daemon.policy.objects import SCHEME, Place, StoredObject, parse_object, printable, shown

FINALIZED = "OBJECT_FINALIZE"
_OF_NO_INTEREST = frozenset({"OBJECT_DELETE", "OBJECT_ARCHIVE", "OBJECT_METADATA_UPDATE"})
FORMAT = "JSON_API_V1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message as it was delivered.

    Attributes:
        id: The service's own; the same at every delivery.
    """

    id: str
    attributes: Mapping[str, str]
    data: bytes
    published_at: datetime

    @property
    def subject(self) -> str:
        """What it is about, as people see it."""
        return printable(self.attributes.get("objectId") or f"message {self.id}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Which model the drops of a place are for."""

    model: str
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a message comes to.

    Attributes:
        records: To be written down before the message is acknowledged; empty when it is of no interest.
        why: Why it is of no interest.
        is_misnamed: It looks like data, but is not named like a drop; somebody may have misspelt the name.
    """

    records: tuple[Event | Rejection, ...] = ()
    why: str = ""
    is_misnamed: bool = False


def read_message(message: Message, routes: Sequence[Route], *, subscription: str) -> Reading:
    """Understand a message; total: what cannot be understood is rejected, with the reason.

    Args:
        message: As it was delivered.
        routes: Whom it may concern.
        subscription: Where it was delivered.
    """
    try:
        return _read(message, routes)
    except InvalidEvent as exc:
        return Reading(records=(_rejection(message, routes, subscription, str(exc)),))


def _read(message: Message, routes: Sequence[Route]) -> Reading:
    kind, bucket, name = (_attribute(message, key) for key in ("eventType", "bucketId", "objectId"))
    if kind in _OF_NO_INTEREST:
        return Reading(why=f"{kind} of {shown(name)}")
    if kind != FINALIZED:
        msg = f"its eventType {shown(kind)} is unknown"
        raise InvalidEvent(msg)
    concerned = [(route, within) for route in routes if (within := route.place.name_within(bucket, name)) is not None]
    if not concerned:
        msg = f"{SCHEME}{printable(f'{bucket}/{name}')} lies outside of {_places(routes)}"
        raise InvalidEvent(msg)
    records = tuple(record for route, within in concerned for record in _records(message, route, within))
    if records:
        return Reading(records=records)
    misnamed = any("/" not in within and is_misnamed_data(within) for _, within in concerned)
    return Reading(why=f"{shown(name)} is not named like a drop", is_misnamed=misnamed)


def _records(message: Message, route: Route, name: str) -> tuple[Event | Rejection, ...]:
    """The one event or rejection, if any, that an object's arrival means for a model."""
    template = route.place.template
    period = parse_period(name, template)
    if period is not None:
        stored = _stored(message)
        return (_arrival(route.model, stored, stored.drop(period)),)
    if looks_like_drop(name, template):
        return (no_drop(route.model, name, NO_MONTH, source=Source.PUBSUB, at=message.published_at),)
    return ()


def _arrival(model: str, stored: StoredObject, drop: DatasetVersion) -> Event:
    return Event(
        id=drop_event_id(model, drop),
        kind=EventKind.DROP,
        model=model,
        source=Source.PUBSUB,
        occurred_at=stored.created_at,
        drop=drop,
        order=stored.generation,
        signature=drop.generation,
    )


def _stored(message: Message) -> StoredObject:
    """The object in the message's body, which has to be the one that its attributes name."""
    if message.attributes.get("payloadFormat") != FORMAT:
        found = shown(message.attributes.get("payloadFormat"))
        msg = f"its payloadFormat is {found}: create the notification with --payload-format=json, which is {FORMAT}"
        raise InvalidEvent(msg)
    stored = parse_object(_attribute(message, "bucketId"), _resource(message.data))
    named = (_attribute(message, "objectId"), _attribute(message, "objectGeneration"))
    if (stored.name, str(stored.generation)) != named:
        msg = f"its body is about another object than its attributes, {shown(named[0])} generation {shown(named[1])}"
        raise InvalidEvent(msg)
    return stored


def _resource(data: bytes) -> Mapping[str, Any]:
    try:
        resource = json.loads(data)
    except (ValueError, RecursionError) as exc:
        msg = "its body is not JSON"
        raise InvalidEvent(msg) from exc
    if not isinstance(resource, dict):
        msg = "its body is no JSON object"
        raise InvalidEvent(msg)
    return resource


def _attribute(message: Message, key: str) -> str:
    value = message.attributes.get(key, "")
    if not value:
        msg = f"it is no notification of Cloud Storage: it lacks the attribute {key}"
        raise InvalidEvent(msg)
    return value


def _places(routes: Sequence[Route]) -> str:
    return ", ".join(sorted({route.place.uri for route in routes}))


def _rejection(message: Message, routes: Sequence[Route], subscription: str, why: str) -> Rejection:
    """Kept for the model when it can only be meant for that one."""
    models = {route.model for route in routes}
    event = Event(
        id=f"pubsub:{subscription}:{printable(message.id)}",
        kind=EventKind.DROP,
        model=models.pop() if len(models) == 1 else "",
        source=Source.PUBSUB,
        occurred_at=message.published_at,
    )
    return Rejection(event=event, subject=message.subject, why=why)
