from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from google.cloud import pubsub_v1

from tests.emulators.notification_configs import NotificationConfigs
from tests.integration.doctor.conftest import PROJECT, Subscribe
from trainer_daemon.config import ModelSettings
from trainer_daemon.doctor.google import GoogleChecks
from trainer_daemon.policy.checks import Check, Status
from trainer_daemon.probing import examine

if TYPE_CHECKING:
    from tests.emulators.pubsub_server import PubSubServer

Examine = Callable[..., dict[str, Check]]


@pytest.fixture
def checked(bucket: str, pubsub: "PubSubServer") -> Examine:  # noqa: ARG001 - it points the client
    """The checks of a model, by name."""

    def run(**changes: object) -> dict[str, Check]:
        settings = ModelSettings.model_validate(
            {"name": "churn", "bucket": f"gs://{bucket}/in", **changes}, context={"folder": None}
        )
        with ExitStack() as resources:
            return {check.name: check for check in examine(GoogleChecks(settings, resources).probes())}

    return run


def test_everything_as_setup_gcp_makes_it_is_fine(
    configs: NotificationConfigs, bucket: str, topic: str, subscribe: Subscribe, checked: Examine
) -> None:
    """Asked over the wire with the real clients."""
    configs.add(bucket, topic, object_name_prefix="in/")
    checks = checked(subscription=subscribe())
    assert {name: check.status for name, check in checks.items()} == dict.fromkeys(
        ("bucket", "drops", "subscription", "subscription settings", "notification"), Status.OK
    )
    assert checks["drops"].found == "1 drop, the newest of 2025-03"
    assert checks["subscription settings"].found == "ack deadline 60 s, kept 7 days, dead letter after 20 attempts, never expires"
    assert checks["notification"].found == f"OBJECT_FINALIZE of gs://{bucket}/in/* goes to {topic}"


def test_missing_bucket_stands_in_the_way_of_its_contents(subscribe: Subscribe, checked: Examine) -> None:
    """The subscription is looked at all the same."""
    checks = checked(bucket="gs://nowhere/in", subscription=subscribe())
    assert (checks["bucket"].status, checks["bucket"].fix) == (
        Status.FAILED,
        "create it: gcloud storage buckets create gs://nowhere --location=LOCATION",
    )
    assert [checks[name].status for name in ("drops", "notification")] == [Status.SKIPPED] * 2
    assert checks["subscription"].status is Status.OK


def test_typo_in_the_template_fails_with_the_one_that_was_meant(checked: Examine) -> None:
    """Although there are files."""
    check = checked(drops="churn_date_{period}.csv")["drops"]
    assert (check.status, check.fix) == (Status.FAILED, 'if these are the drops, set drops = "churn_data_{period}.csv"')


def test_missing_subscription_has_failed_with_its_command(checked: Examine) -> None:
    """What needs it is skipped."""
    checks = checked(subscription=f"{PROJECT}/subscriptions/nowhere")
    assert checks["subscription"].status is Status.FAILED
    assert checks["subscription"].fix.startswith("create it: gcloud pubsub subscriptions create nowhere --project=demo-project")
    assert [checks[name].status for name in ("subscription settings", "notification")] == [Status.SKIPPED] * 2


def test_model_without_subscription_says_how_drops_are_found(checked: Examine) -> None:
    """That is no failure."""
    checks = checked(listing_interval_s=90.0)
    assert (checks["subscription"].status, "listing every 90 s" in checks["subscription"].found) == (Status.SKIPPED, True)
    assert set(checks) == {"bucket", "drops", "subscription"}


def test_bucket_that_notifies_another_topic_has_failed(
    configs: NotificationConfigs, bucket: str, topic: str, subscribe: Subscribe, checked: Examine
) -> None:
    """The command makes the right notification."""
    configs.add(bucket, f"{PROJECT}/topics/other")
    check = checked(subscription=subscribe())["notification"]
    assert check.status is Status.FAILED
    assert f"notifies {PROJECT}/topics/other" in check.found
    assert check.fix.startswith(
        f"gcloud storage buckets notifications create gs://{bucket} --project=demo-project --topic={topic} "
    )


def test_notification_without_content_has_failed(
    configs: NotificationConfigs, bucket: str, topic: str, subscribe: Subscribe, checked: Examine
) -> None:
    """The library's own default is the wrong one."""
    configs.add(bucket, topic, payload_format="NONE")
    check = checked(subscription=subscribe())["notification"]
    assert (check.status, "payload format is NONE" in check.found) == (Status.FAILED, True)


@pytest.mark.parametrize("status", [403, 404])
def test_notifications_that_may_not_be_looked_at_are_skipped(
    configs: NotificationConfigs, subscribe: Subscribe, checked: Examine, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon needs no permission for them, so neither does its doctor; an emulator may not have them at all."""
    configs.refusal = status
    name = subscribe()
    assert checked(subscription=name)["notification"].found == "the storage emulator cannot be asked for it"
    monkeypatch.setattr("trainer_daemon.doctor.google.STORAGE_VARIABLE", "NO_SUCH_VARIABLE")
    check = checked(subscription=name)["notification"]
    assert (check.status, "may not look at it" in check.found) == (Status.SKIPPED, True)
    assert check.fix.startswith("gcloud storage buckets notifications list gs://")


def test_topic_that_the_library_cannot_read_is_a_failure(
    configs: NotificationConfigs, bucket: str, subscribe: Subscribe, checked: Examine
) -> None:
    """It refuses the whole list for one strange name in it."""
    configs.add(bucket, "projects/12/topics/other")
    check = checked(subscription=subscribe())["notification"]
    assert (check.status, "projects/12/topics/other" in check.found) == (Status.FAILED, True)
    assert check.fix.startswith("gcloud storage buckets notifications list gs://")


def test_service_in_trouble_is_a_failure(configs: NotificationConfigs, subscribe: Subscribe, checked: Examine) -> None:
    """With what it said."""
    configs.refusal = 503
    check = checked(subscription=subscribe())["notification"]
    assert (check.status, "as the test wants it" in check.found) == (Status.FAILED, True)


def test_subscription_as_it_is_made_by_default_is_a_warning(topic: str, checked: Examine) -> None:
    """It is deleted after 31 days without drops, and has no dead letters."""
    name = f"{PROJECT}/subscriptions/s-{uuid4().hex}"
    with pubsub_v1.SubscriberClient() as client:
        client.create_subscription(name=name, topic=topic)
    check = checked(subscription=name)["subscription settings"]
    assert check.status is Status.WARNING
    assert "nobody has read it for 31 days" in check.found
    assert "no dead-letter topic" in check.found


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"push_config": {"push_endpoint": "https://example.com/push"}}, "messages are sent to https://example.com/push"),
        ({"filter": 'attributes.eventType = "OBJECT_DELETE"'}, "hides the drops"),
    ],
)
def test_subscription_that_the_daemon_gets_nothing_from_has_failed(
    subscribe: Subscribe, checked: Examine, changes: dict[str, object], found: str
) -> None:
    """As the service describes it."""
    check = checked(subscription=subscribe(**changes))["subscription"]
    assert (check.status, found in check.found) == (Status.FAILED, True)
