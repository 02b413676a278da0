import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import NOW
from trainer_daemon.policy.events import Event, EventKind, Rejection, Source
from trainer_daemon.policy.notifications import Message, Reading, Route, read_message
from trainer_daemon.policy.objects import place_of

SUBSCRIPTION = "projects/p/subscriptions/trainer"
NAME = "in/churn_data_2025_03.csv"
CHURN = Route(model="churn", place=place_of("gs://drops/in", "churn_data_{period}.csv"))


def a_message(
    *, name: str = NAME, generation: str = "7", body: Mapping[str, Any] | bytes | None = None, **attributes: str
) -> Message:
    """The notification that an object was uploaded."""
    resource = {"name": name, "generation": generation, "crc32c": "SZ2HxQ==", "size": "8", "timeCreated": NOW.isoformat()}
    data = body if isinstance(body, bytes) else json.dumps({**resource, **(body or {})}).encode()
    named = {
        "eventType": "OBJECT_FINALIZE",
        "bucketId": "drops",
        "objectId": name,
        "objectGeneration": generation,
        "payloadFormat": "JSON_API_V1",
    }
    return Message(id="m1", attributes={**named, **attributes}, data=data, published_at=NOW)


def read(message: Message, *routes: Route) -> Reading:
    """As the model `churn` reads it, unless other models are named."""
    return read_message(message, routes or (CHURN,), subscription=SUBSCRIPTION)


def rejection(message: Message, *routes: Route) -> Rejection:
    """The one rejection that a message comes to."""
    (record,) = read(message, *routes).records
    assert isinstance(record, Rejection)
    return record


def test_upload_of_a_drop_is_an_event_ordered_by_its_generation() -> None:
    """With the identity of its content, and the same id as a listing gives it."""
    (event,) = read(a_message()).records
    assert isinstance(event, Event)
    assert event.id == "drop:churn:gs://drops/in/churn_data_2025_03.csv#7"
    assert (event.kind, event.source, event.order, event.signature) == (EventKind.DROP, Source.PUBSUB, 7, "7")
    assert event.occurred_at == NOW
    assert event.drop is not None
    assert (event.drop.checksum, event.drop.period) == ("crc32c:SZ2HxQ==:8", "2025-03")


@pytest.mark.parametrize("kind", ["OBJECT_DELETE", "OBJECT_ARCHIVE", "OBJECT_METADATA_UPDATE"])
@pytest.mark.parametrize("bucket", ["drops", "other"])
def test_other_kinds_of_change_are_passed_over(kind: str, bucket: str) -> None:
    """Nothing is recorded, not even a rejection: overwriting alone causes one."""
    assert read(a_message(eventType=kind, bucketId=bucket, body=b"")) == Reading(why=f'{kind} of "{NAME}"')


@pytest.mark.parametrize("name", ["in/notes.txt", "in/deeper/churn_data_2025_03.csv", "in/churn_data_2025_03.csv.part"])
def test_other_objects_under_the_prefix_are_passed_over(name: str) -> None:
    """As a listing passes them over."""
    assert read(a_message(name=name)) == Reading(why=f'"{name}" is not named like a drop')


def test_data_under_a_name_that_may_be_misspelt_is_worth_a_line() -> None:
    """Passed over as well, but not silently."""
    why = '"in/churn-data-2025-03.csv" is not named like a drop'
    assert read(a_message(name="in/churn-data-2025-03.csv")) == Reading(why=why, is_misnamed=True)


def test_impossible_month_is_rejected_as_a_listing_does() -> None:
    """Under the same id, so that it is told once."""
    record = rejection(a_message(name="in/churn_data_2025_13.csv"))
    assert record.event.id == "ignored:churn:churn_data_2025_13.csv#the name has no possible month: months are 01 to 12"
    assert record.subject == "churn_data_2025_13.csv"


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (a_message(bucketId="other"), f"gs://other/{NAME} lies outside of gs://drops/in"),
        (a_message(name="out/churn_data_2025_03.csv"), "gs://drops/out/churn_data_2025_03.csv lies outside of gs://drops/in"),
        (a_message(eventType="OBJECT_EATEN"), 'its eventType "OBJECT_EATEN" is unknown'),
        (a_message(eventType=""), "it is no notification of Cloud Storage: it lacks the attribute eventType"),
        (a_message(objectGeneration=""), "it lacks the attribute objectGeneration"),
        (a_message(payloadFormat="NONE"), "create the notification with --payload-format=json"),
        (a_message(body=b"\xff"), "its body is not JSON"),
        (a_message(body=b"[" * 100_000), "its body is not JSON"),
        (a_message(body=b"[]"), "its body is no JSON object"),
        (a_message(body={"crc32c": None}), "the object's crc32c is None"),
        (a_message(body={"generation": "8"}), f'its body is about another object than its attributes, "{NAME}" generation "7"'),
        (a_message(body={"name": "in/churn_data_2025_04.csv"}), "its body is about another object"),
        (a_message(bucketId="\0\n\ud800"), "gs://???/in"),
    ],
)
def test_what_cannot_be_a_drop_is_rejected_with_the_reason(message: Message, why: str) -> None:
    """Under the message's own id, so that a redelivery is told once."""
    record = rejection(message)
    assert why in record.why
    assert record.event.id == f"pubsub:{SUBSCRIPTION}:m1"
    assert record.event.model == "churn"


def test_one_subscription_serves_several_models() -> None:
    """An object is an event for each model that it is a drop of, and foreign only when it is none's."""
    other = Route(model="other", place=place_of("gs://drops", "in/churn_data_{period}.csv".removeprefix("in/")))
    twin = Route(model="twin", place=CHURN.place)
    events = read(a_message(), CHURN, other, twin).records
    assert [event.model for event in events if isinstance(event, Event)] == ["churn", "twin"]
    foreign = rejection(a_message(bucketId="far"), CHURN, other)
    assert foreign.event.model == ""
    assert foreign.why.endswith("lies outside of gs://drops, gs://drops/in")


_VALUES = st.text() | st.sampled_from(["OBJECT_FINALIZE", "drops", NAME, "7", "JSON_API_V1"])
_JSON = st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists, max_leaves=5)


@given(
    attributes=st.dictionaries(
        st.sampled_from(["eventType", "bucketId", "objectId", "objectGeneration", "payloadFormat"]), _VALUES
    ),
    body=st.dictionaries(st.sampled_from(["name", "generation", "crc32c", "size", "timeCreated"]), _JSON),
    junk=st.none() | st.binary(),
)
def test_no_message_is_too_strange(attributes: dict[str, str], body: dict[str, Any], junk: bytes | None) -> None:
    """Whatever somebody publishes is read as something, and what is kept of it can be stored anywhere."""
    template = a_message()
    data = junk if junk is not None else json.dumps({**json.loads(template.data), **body}).encode()
    message = Message(id="m", attributes={**template.attributes, **attributes}, data=data, published_at=NOW)
    for record in read(message).records:
        event = record.event if isinstance(record, Rejection) else record
        assert event.id.isprintable()
        if isinstance(record, Rejection):
            assert (record.why + record.subject).isprintable()
