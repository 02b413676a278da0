"""How the news of a drop gets to the daemon: what a subscription and a bucket's notifications have to be like. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trainer_daemon.policy import gcloud
from trainer_daemon.policy.checks import Finding, failed, ok, skipped, warning
from trainer_daemon.policy.message_filter import lets_through
from trainer_daemon.policy.notifications import FINALIZED, FORMAT
from trainer_daemon.policy.objects import Place, shown

DELETED_TOPIC = "_deleted-topic_"
"""What the service calls the topic of a subscription whose topic is gone."""
ACK_DEADLINE_S_MIN = 10
ATTEMPTS_MIN = 5
DAY_S = 24 * 3600
QUIET_S_MIN = 62 * DAY_S
"""Two months: between two monthly drops a subscription is quiet for longer than the default, 31 days."""
SETUP = "run what `trainer-daemon setup-gcp --print` writes"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionConfig:
    """A subscription, as the service describes it.

    Attributes:
        topic: Full name.
        exports_to: Where messages go by themselves: a URL, a table or a bucket; empty when they are pulled.
        expires_after_s: Without anybody who reads; None means never.
        dead_letter_topic: Full name, or empty.
        attempts: Of delivering a message before it becomes a dead letter; 0 without a dead-letter topic.
    """

    name: str
    topic: str
    exports_to: str = ""
    is_detached: bool = False
    filter: str = ""
    ack_deadline_s: int = ACK_DEADLINE_S_MIN
    retention_s: float = 7.0 * DAY_S
    expires_after_s: float | None = None
    dead_letter_topic: str = ""
    attempts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationConfig:
    """One notification configuration of a bucket.

    Attributes:
        topic: Full name.
        event_types: Empty means all of them.
        prefix: Of the names of the objects that it tells of.
    """

    id: str
    topic: str
    event_types: tuple[str, ...] = ()
    payload_format: str = FORMAT
    prefix: str = ""


_Judged = Sequence[tuple[NotificationConfig, tuple[str, ...]]]
"""Configurations, each with its flaws."""


# the subscription


def judge_subscription(config: SubscriptionConfig, place: Place) -> Finding:
    """Whether the daemon can receive what is published to a subscription's topic."""
    subscription = gcloud.parse_resource(config.name)
    if problems := tuple(_beyond_repair(config, place)):
        return failed("; ".join(problems), f"{gcloud.line(gcloud.delete_subscription(subscription))}, then {SETUP}")
    if config.exports_to:
        found = f"messages are sent to {config.exports_to}, but the daemon pulls them"
        return failed(found, gcloud.line(gcloud.stop_pushing(subscription)))
    if lets_through(config.filter, place) is None:
        fix = f'see that it lets {FINALIZED} of {place.uri} through; best is none, or attributes.eventType = "{FINALIZED}"'
        return warning(f"whether its filter {config.filter} hides drops cannot be said", fix)
    return ok(f"of topic {config.topic}, filter: {config.filter}" if config.filter else f"of topic {config.topic}")


def _beyond_repair(config: SubscriptionConfig, place: Place) -> Iterator[str]:
    """What cannot be changed on a subscription once it is made."""
    if config.topic == DELETED_TOPIC:
        yield "its topic was deleted, so nothing reaches it"
    if config.is_detached:
        yield "it is detached from its topic, so nothing reaches it"
    if lets_through(config.filter, place) is False:
        yield f"its filter {config.filter} hides the drops"


def judge_settings(config: SubscriptionConfig) -> Finding:
    """Whether a subscription keeps everything while the daemon is down, and itself."""
    problems = tuple(_losses(config))
    if not problems:
        return ok(
            f"ack deadline {config.ack_deadline_s} s, kept {_days(config.retention_s)}, dead letter after {config.attempts} "
            f"attempts, {_expiry(config)}"
        )
    if not config.dead_letter_topic:
        return warning("; ".join(problems), f"{SETUP}: it changes an existing subscription")
    fix = gcloud.update_subscription(gcloud.parse_resource(config.name), _repairs(config))
    return warning("; ".join(problems), gcloud.line(fix))


def _losses(config: SubscriptionConfig) -> Iterator[str]:
    if config.ack_deadline_s < ACK_DEADLINE_S_MIN:
        yield f"its ack deadline is {config.ack_deadline_s} s, less than the service allows"
    if config.retention_s < DAY_S:
        yield f"what nobody reads is kept for {_days(config.retention_s)} only, so a longer outage loses notifications"
    if config.expires_after_s is not None and config.expires_after_s < QUIET_S_MIN:
        yield f"it {_expiry(config)}, and drops come monthly"
    if not config.dead_letter_topic:
        yield "it has no dead-letter topic, so a message that can never be recorded would come for ever"
    elif config.attempts < ATTEMPTS_MIN:
        yield f"a message is a dead letter after {config.attempts} attempts, before an outage is over"


def _repairs(config: SubscriptionConfig) -> tuple[str, ...]:
    attempts = (f"--max-delivery-attempts={gcloud.ATTEMPTS}",) if config.attempts < ATTEMPTS_MIN else ()
    dead_letter = (f"--dead-letter-topic={config.dead_letter_topic}", *attempts) if attempts else ()
    return *gcloud.settings_flags(), *dead_letter


def _expiry(config: SubscriptionConfig) -> str:
    if config.expires_after_s is None:
        return "never expires"
    return f"is deleted when nobody has read it for {_days(config.expires_after_s)}"


def _days(seconds: float) -> str:
    days, hours = seconds / DAY_S, seconds / 3600
    return f"{days:g} days" if days >= 1 else f"{hours:g} hours" if hours >= 1 else f"{seconds / 60:g} minutes"


# the notifications


def judge_notifications(configs: Sequence[NotificationConfig], place: Place, topic: str) -> Finding:
    """Whether a bucket tells the subscription's topic of every drop.

    Args:
        configs: Those of the bucket.
        place: Where the drops arrive.
        topic: Full name of the subscription's topic.
    """
    if topic == DELETED_TOPIC:
        return skipped("the subscription's topic was deleted")
    ours = [(config, tuple(_flaws(config, place))) for config in configs if config.topic == topic]
    faulty = [config for config, flaws in ours if flaws]
    if any(not flaws for _, flaws in ours):
        return _spoilt(ours, place) or ok(f"{FINALIZED} of gs://{place.bucket}/{_shared_prefix(ours)}* goes to {topic}")
    repair = [gcloud.create_notification(place.bucket, topic, place.prefix)]
    repair += [gcloud.delete_notification(place.bucket, config.topic, config.id) for config in faulty]
    return failed(_why_none(configs, ours, place, topic), gcloud.line(*repair))


def _flaws(config: NotificationConfig, place: Place) -> Iterator[str]:
    """Why a configuration does not tell of every drop."""
    if config.event_types and FINALIZED not in config.event_types:
        yield f"it tells of {', '.join(config.event_types)}, not of {FINALIZED}"
    if config.payload_format != FORMAT:
        yield f"its payload format is {config.payload_format}, not {FORMAT}"
    if not place.listed_prefix.startswith(config.prefix):
        some = "all drops but those" if config.prefix.startswith(place.listed_prefix) else "the drops, which are not"
        yield f"its prefix {shown(config.prefix)} hides {some} under it"


def _why_none(configs: Sequence[NotificationConfig], ours: _Judged, place: Place, topic: str) -> str:
    if not configs:
        return f"gs://{place.bucket} notifies nobody"
    if not ours:
        others = ", ".join(sorted({config.topic for config in configs}))
        return f"gs://{place.bucket} notifies {others}, but the subscription is of {topic}"
    return "; ".join(f"configuration {config.id}: {', '.join(flaws)}" for config, flaws in ours)


def _spoilt(ours: _Judged, place: Place) -> Finding | None:
    """A second configuration that makes messages without content, each of which is rejected."""
    empty = [config for config, _ in ours if config.payload_format != FORMAT]
    if not empty:
        return None
    found = f"a second configuration, {empty[0].id}, sends {empty[0].payload_format} to the same topic: each message is rejected"
    return warning(found, gcloud.line(*(gcloud.delete_notification(place.bucket, config.topic, config.id) for config in empty)))


def _shared_prefix(ours: _Judged) -> str:
    return min((config.prefix for config, flaws in ours if not flaws), key=len)
