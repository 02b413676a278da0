import pytest

from tests.emulators.pubsub.filters import compile_filter
from tests.emulators.pubsub.refusal import RefusedError

ATTRIBUTES = {"eventType": "OBJECT_FINALIZE", "objectId": 'in/a "b".csv', "empty": ""}


@pytest.mark.parametrize(
    "text",
    [
        "",
        'attributes.eventType = "OBJECT_FINALIZE"',
        'attributes.eventType="OBJECT_FINALIZE"',
        'attributes.eventType != "OBJECT_DELETE"',
        'attributes.missing != "x"',
        "attributes:eventType",
        'attributes:"eventType"',
        "NOT attributes:missing",
        "-attributes:missing",
        'hasPrefix(attributes.objectId, "in/")',
        r'attributes.objectId = "in/a \"b\".csv"',
        'attributes.empty = ""',
        'attributes:missing OR attributes.empty = "" AND attributes:eventType',
        '(attributes:missing OR attributes:eventType) AND NOT hasPrefix(attributes.objectId, "out/")',
    ],
)
def test_filter_lets_a_matching_message_pass(text: str) -> None:
    """Each operator of the grammar."""
    assert compile_filter(text)(ATTRIBUTES)


@pytest.mark.parametrize(
    "text",
    [
        'attributes.eventType = "OBJECT_DELETE"',
        'attributes.eventType != "OBJECT_FINALIZE"',
        'attributes.missing = ""',
        "attributes:missing",
        "NOT attributes:eventType",
        'hasPrefix(attributes.objectId, "out/")',
        'hasPrefix(attributes.missing, "in/")',
        "attributes:eventType AND attributes:missing",
        "(attributes:eventType OR attributes:empty) AND attributes:missing",
    ],
)
def test_filter_stops_any_other_message(text: str) -> None:
    """Each operator of the grammar."""
    assert not compile_filter(text)(ATTRIBUTES)


@pytest.mark.parametrize(
    "text",
    [
        "attributes.a",
        "attributes.a = b",
        'a = "b"',
        'attributes.a = "b',
        "attributes:a AND",
        "(attributes:a",
        "attributes:a)",
        "attributes:a attributes:b",
        'attributes.a ~ "b"',
        'hasPrefix(attributes.a "b")',
        "attributes:",
    ],
)
def test_text_that_is_no_filter_is_refused(text: str) -> None:
    """With the text in the message."""
    with pytest.raises(RefusedError, match="Invalid filter") as refused:
        compile_filter(text)
    assert text in refused.value.text
