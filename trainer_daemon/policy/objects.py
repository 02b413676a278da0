"""Objects in Google Cloud Storage: where a model's drops arrive, and how an object's description becomes a drop. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from trainer_daemon.errors import InvalidEvent
from trainer_daemon.policy.events import DatasetVersion
from trainer_daemon.policy.text import plain

SCHEME = "gs://"
_NUMBER_MAX = 2**63 - 1
_NUMBER = re.compile(r"[0-9]{1,19}")
_CRC32C = re.compile(r"[A-Za-z0-9+/]{6}==")
_SHOWN_MAX = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in Google Cloud Storage the drops of one model arrive.

    Attributes:
        bucket: Name of the bucket.
        prefix: Empty, or what every object's name begins with, up to and including the last `/`.
        template: Of the drops' names, `churn_data_{period}.csv`.
    """

    bucket: str
    prefix: str
    template: str

    @property
    def uri(self) -> str:
        """`gs://bucket/prefix`, as it is configured."""
        return f"{SCHEME}{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def listed_prefix(self) -> str:
        """What the name of every drop begins with; nothing else has to be listed."""
        return self.prefix + self.template.partition("{period}")[0]

    def name_within(self, bucket: str, name: str) -> str | None:
        """The name of an object as seen from here, or None when it lies elsewhere."""
        return name.removeprefix(self.prefix) if bucket == self.bucket and name.startswith(self.prefix) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """One generation of one object.

    Attributes:
        checksum: See `content_of`.
        created_at: When this generation came to be; a later change of its metadata does not move it.
    """

    bucket: str
    name: str
    generation: int
    checksum: str
    size_bytes: int
    created_at: datetime

    def drop(self, period: str) -> DatasetVersion:
        """The drop that it is."""
        return DatasetVersion(
            uri=f"{SCHEME}{self.bucket}/{self.name}",
            generation=str(self.generation),
            checksum=self.checksum,
            period=period,
            size_bytes=self.size_bytes,
        )


def place_of(uri: str, template: str) -> Place:
    """The place that `bucket = "gs://bucket/prefix"` names."""
    bucket, _, prefix = uri.removeprefix(SCHEME).partition("/")
    prefix = prefix.rstrip("/")
    return Place(bucket=bucket, prefix=f"{prefix}/" if prefix else "", template=template)


def content_of(crc32c: str, size_bytes: int) -> str:
    """The identity of an object's bytes, the same for every object that holds them: `crc32c:<base64>:<size>`.

    An MD5 would be longer, but an object that was composed of parts has none, and the same bytes must not have two names.
    """
    return f"crc32c:{crc32c}:{size_bytes}"


def parse_object(bucket: str, resource: Mapping[str, Any]) -> StoredObject:
    """Read an object resource, as listings and notifications hold it (cloud.google.com/storage/docs/json_api/v1/objects).

    Raises:
        InvalidEvent: It lacks something or holds something impossible; the sentence says what.
    """
    crc32c, size_bytes = resource.get("crc32c"), _number(resource, "size")
    if not isinstance(crc32c, str) or not _CRC32C.fullmatch(crc32c):
        msg = f"the object's crc32c is {shown(crc32c)}: without a checksum (customer-supplied keys hide it) it has no identity"
        raise InvalidEvent(msg)
    return StoredObject(
        bucket=bucket,
        name=_text(resource, "name"),
        generation=_number(resource, "generation"),
        checksum=content_of(crc32c, size_bytes),
        size_bytes=size_bytes,
        created_at=_moment(resource, "timeCreated"),
    )


def shown(value: object) -> str:
    """Any value in a sentence, text in quotes."""
    return f'"{printable(value)}"' if isinstance(value, str) else printable(str(value))


def printable(text: str) -> str:
    """Text from outside, short and plain enough for a log line and for every database."""
    shown = plain(text[:_SHOWN_MAX])
    return shown if len(text) <= _SHOWN_MAX else f"{shown}…"


def _text(resource: Mapping[str, Any], key: str) -> str:
    value = resource.get(key)
    if not isinstance(value, str) or not value:
        msg = f"the object's {key} is {shown(value)}"
        raise InvalidEvent(msg)
    return value


def _number(resource: Mapping[str, Any], key: str) -> int:
    """A whole number; JSON carries those of 64 bits as text."""
    value = _text(resource, key)
    if not _NUMBER.fullmatch(value) or int(value) > _NUMBER_MAX:
        msg = f"the object's {key} is {shown(value)}, no whole number of 64 bits"
        raise InvalidEvent(msg)
    return int(value)


def _moment(resource: Mapping[str, Any], key: str) -> datetime:
    value = _text(resource, key)
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as exc:
        msg = f"the object's {key} is {shown(value)}, no moment"
        raise InvalidEvent(msg) from exc
