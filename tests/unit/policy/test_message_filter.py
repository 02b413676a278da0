import pytest

from trainer_daemon.policy.message_filter import lets_through
from trainer_daemon.policy.objects import place_of

PLACE = place_of("gs://drops/in", "churn_data_{period}.csv")


@pytest.mark.parametrize(
    "text",
    [
        "",
        'attributes.eventType = "OBJECT_FINALIZE"',
        'attributes.eventType="OBJECT_FINALIZE" AND attributes.bucketId = "drops"',
        'attributes.eventType != "OBJECT_DELETE"',
        'NOT attributes.eventType = "OBJECT_DELETE" AND attributes:objectId',
        '-attributes.eventType = "OBJECT_ARCHIVE"',
        'hasPrefix(attributes.objectId, "in/") AND hasPrefix(attributes."eventType", "OBJECT_")',
        ' attributes.payloadFormat = "JSON_API_V1" ',
    ],
)
def test_filter_that_every_drop_passes(text: str) -> None:
    """By event, bucket, payload and the beginning of the name, which are the same for all drops."""
    assert lets_through(text, PLACE) is True


@pytest.mark.parametrize(
    "text",
    [
        'attributes.eventType = "OBJECT_DELETE"',
        'attributes.eventType != "OBJECT_FINALIZE"',
        'attributes.bucketId = "other" AND attributes.customer = "x"',
        "NOT attributes:eventType",
        'hasPrefix(attributes.objectId, "out/")',
        'attributes.payloadFormat = "NONE"',
        'hasPrefix(attributes.eventType, "OBJECT_DEL")',
    ],
)
def test_filter_that_hides_drops(text: str) -> None:
    """One term is enough, whatever else there is."""
    assert lets_through(text, PLACE) is False


@pytest.mark.parametrize(
    "text",
    [
        'attributes.objectId = "in/churn_data_2025_03.csv"',
        'hasPrefix(attributes.objectId, "in/churn_data_2025")',
        "attributes:overwroteGeneration",
        'attributes.team = "churn"',
        'attributes.eventType = "OBJECT_FINALIZE" OR attributes.eventType = "OBJECT_DELETE"',
        '(attributes.eventType = "OBJECT_DELETE")',
        'attributes.eventType = "OBJECT_FINALIZE" AND',
        "nonsense",
    ],
)
def test_filter_that_nobody_can_judge(text: str) -> None:
    """Some drops may pass and others not, or it is more than a list of terms."""
    assert lets_through(text, PLACE) is None
