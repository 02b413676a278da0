"""A notice as a CloudEvent in structured mode (github.com/cloudevents/spec, version 1.0)."""

from cloudevents.core.bindings.http import to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from trainer_daemon.policy.notices import Notice

CONTENT_TYPE = "application/cloudevents+json"
_TYPE = "trainer-daemon."


def structured(notice: Notice, environment: str) -> bytes:
    """The same bytes for the same notice.

    Args:
        notice: What happened.
        environment: Which installation tells of it; part of `source`, which makes `id` unique.
    """
    attributes = {
        "specversion": "1.0",
        "id": notice.id,
        "source": f"/trainer-daemon/{environment}/{notice.model}",
        "type": f"{_TYPE}{notice.kind}",
        "subject": notice.subject,
        "time": notice.at,
        "datacontenttype": "application/json",
    }
    return to_structured(CloudEvent(attributes, dict(notice.data)), JSONFormat()).body
