from dataclasses import replace
from typing import Any

import pytest

from trainer_daemon.policy.checks import Status
from trainer_daemon.policy.delivery import (
    DAY_S,
    DELETED_TOPIC,
    NotificationConfig,
    SubscriptionConfig,
    judge_notifications,
    judge_settings,
    judge_subscription,
)
from trainer_daemon.policy.objects import place_of

PLACE = place_of("gs://drops/in", "churn_data_{period}.csv")
TOPIC = "projects/p/topics/t"
CREATE = (
    "gcloud storage buckets notifications create gs://drops --project=p --topic=projects/p/topics/t "
    "--event-types=OBJECT_FINALIZE --payload-format=json --object-prefix=in/"
)


def a_subscription(**changes: Any) -> SubscriptionConfig:  # noqa: ANN401 - any field
    """One as `setup-gcp` makes it."""
    config = SubscriptionConfig(
        name="projects/p/subscriptions/s", topic=TOPIC, dead_letter_topic="projects/p/topics/dead", attempts=20
    )
    return replace(config, **changes)


def a_notification(**changes: Any) -> NotificationConfig:  # noqa: ANN401 - any field
    """One as `setup-gcp` makes it."""
    return replace(NotificationConfig(id="1", topic=TOPIC, event_types=("OBJECT_FINALIZE",), prefix="in/"), **changes)


def test_subscription_that_is_pulled_from_is_fine() -> None:
    """With and without a filter that drops pass."""
    assert judge_subscription(a_subscription(), PLACE).status is Status.OK
    assert judge_subscription(a_subscription(filter='attributes.eventType="OBJECT_FINALIZE"'), PLACE).status is Status.OK


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"topic": DELETED_TOPIC}, "its topic was deleted"),
        ({"is_detached": True}, "it is detached"),
        ({"filter": 'attributes.eventType="OBJECT_DELETE"'}, "hides the drops"),
    ],
)
def test_subscription_that_nothing_reaches_has_to_be_made_anew(changes: dict[str, Any], found: str) -> None:
    """Neither topic nor filter of a subscription can be changed."""
    finding = judge_subscription(a_subscription(**changes), PLACE)
    assert (finding.status, found in finding.found) == (Status.FAILED, True)
    assert finding.fix.startswith("gcloud pubsub subscriptions delete s --project=p, then run what")


@pytest.mark.parametrize("target", ["https://example.com/push", "project.dataset.table", "gs://archive"])
def test_subscription_that_sends_messages_elsewhere_fails(target: str) -> None:
    """The daemon pulls: of what is pushed it would see nothing."""
    finding = judge_subscription(a_subscription(exports_to=target), PLACE)
    assert (finding.status, target in finding.found) == (Status.FAILED, True)
    assert finding.fix == "gcloud pubsub subscriptions modify-push-config s --project=p --push-endpoint="


def test_filter_that_cannot_be_judged_is_a_warning() -> None:
    """Somebody has to look at it."""
    finding = judge_subscription(a_subscription(filter='attributes.team = "churn"'), PLACE)
    assert (finding.status, 'attributes.team = "churn"' in finding.found) == (Status.WARNING, True)


def test_settings_that_lose_nothing_are_fine() -> None:
    """The row says what they are."""
    finding = judge_settings(a_subscription())
    assert finding.status is Status.OK
    assert finding.found == "ack deadline 10 s, kept 7 days, dead letter after 20 attempts, never expires"


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"expires_after_s": 31 * DAY_S}, "it is deleted when nobody has read it for 31 days, and drops come monthly"),
        ({"retention_s": 600.0}, "kept for 10 minutes only"),
        ({"retention_s": 12 * 3600.0}, "kept for 12 hours only"),
        ({"ack_deadline_s": 5}, "ack deadline is 5 s"),
    ],
)
def test_settings_that_lose_something_come_with_the_command_that_corrects_them(changes: dict[str, Any], found: str) -> None:
    """All at once; the daemon works meanwhile."""
    finding = judge_settings(a_subscription(**changes))
    assert (finding.status, found in finding.found) == (Status.WARNING, True)
    flags = "--ack-deadline=60 --message-retention-duration=7d --expiration-period=never"
    assert finding.fix == f"gcloud pubsub subscriptions update s --project=p {flags}"


def test_subscription_that_lives_for_a_quarter_is_fine() -> None:
    """Drops come monthly."""
    assert judge_settings(a_subscription(expires_after_s=90 * DAY_S)).status is Status.OK


def test_few_attempts_are_raised() -> None:
    """The policy is only complete with its topic."""
    finding = judge_settings(a_subscription(attempts=3))
    assert finding.status is Status.WARNING
    assert finding.fix.endswith("--dead-letter-topic=projects/p/topics/dead --max-delivery-attempts=20")


def test_missing_dead_letter_topic_is_left_to_the_script() -> None:
    """It needs a topic and permissions, not only a flag."""
    finding = judge_settings(a_subscription(dead_letter_topic="", attempts=0))
    assert (finding.status, "no dead-letter topic" in finding.found) == (Status.WARNING, True)
    assert "trainer-daemon setup-gcp --print" in finding.fix


@pytest.mark.parametrize(
    "config",
    [
        a_notification(),
        a_notification(prefix=""),
        a_notification(prefix="in/churn_data_"),
        a_notification(event_types=()),
        a_notification(event_types=("OBJECT_DELETE", "OBJECT_FINALIZE")),
    ],
)
def test_notification_that_tells_of_every_drop_is_fine(config: NotificationConfig) -> None:
    """Whatever else it tells of, and whoever else is told."""
    assert (
        judge_notifications([a_notification(id="9", topic="projects/p/topics/other"), config], PLACE, TOPIC).status is Status.OK
    )


def test_bucket_without_notification_comes_with_the_command_that_makes_it() -> None:
    """To be copied."""
    finding = judge_notifications([], PLACE, TOPIC)
    assert (finding.status, finding.found, finding.fix) == (Status.FAILED, "gs://drops notifies nobody", CREATE)


def test_notification_to_another_topic_is_none() -> None:
    """Both topics are named, and it is left alone: it is for somebody else."""
    finding = judge_notifications([a_notification(topic="projects/p/topics/other")], PLACE, TOPIC)
    assert finding.status is Status.FAILED
    assert finding.found == "gs://drops notifies projects/p/topics/other, but the subscription is of projects/p/topics/t"
    assert finding.fix == CREATE


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"event_types": ("OBJECT_DELETE",)}, "it tells of OBJECT_DELETE, not of OBJECT_FINALIZE"),
        ({"payload_format": "NONE"}, "its payload format is NONE, not JSON_API_V1"),
        ({"prefix": "out/"}, 'its prefix "out/" hides the drops'),
        ({"prefix": "in/churn_data_2025"}, 'its prefix "in/churn_data_2025" hides all drops but those under it'),
    ],
)
def test_notification_with_a_flaw_is_replaced(changes: dict[str, Any], found: str) -> None:
    """The right one first, then the wrong one goes."""
    finding = judge_notifications([a_notification(id="7", **changes)], PLACE, TOPIC)
    assert (finding.status, found in finding.found) == (Status.FAILED, True)
    deleted = "gcloud storage buckets notifications delete projects/_/buckets/drops/notificationConfigs/7 --project=p"
    assert finding.fix == f"{CREATE} && {deleted}"


def test_second_notification_without_content_is_a_warning() -> None:
    """Its messages are rejected, one by one, while the drops are trained."""
    finding = judge_notifications([a_notification(), a_notification(id="2", payload_format="NONE")], PLACE, TOPIC)
    assert finding.status is Status.WARNING
    assert finding.fix.endswith("notificationConfigs/2 --project=p")


def test_notification_cannot_be_judged_without_a_topic() -> None:
    """The subscription's own row says that its topic is gone."""
    assert judge_notifications([a_notification()], PLACE, DELETED_TOPIC).status is Status.SKIPPED
