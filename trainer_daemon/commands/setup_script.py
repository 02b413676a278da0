"""The shell script that sets up Google Cloud for the daemon. Pure: from names to text.

It can be run again: what exists is left alone or brought up to date, and what fails for another reason ends it.
"""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trainer_daemon.commands.setup_jobs import Jobs, jobs_lines
from trainer_daemon.commands.setup_shell import PUBSUB_AGENT, STORAGE_AGENT, distinct, indented, quietly, unless, wrapped
from trainer_daemon.policy import gcloud
from trainer_daemon.policy.gcloud import Resource
from trainer_daemon.policy.notifications import FINALIZED, FORMAT
from trainer_daemon.policy.objects import Place

_NOTIFICATION_FIELDS = ".topic", ".object_name_prefix", ".payload_format", ".event_types.list()"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One model's way from bucket to daemon.

    Attributes:
        subscription: Full name.
    """

    place: Place
    subscription: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What is to be set up.

    Attributes:
        project: Of the daemon's account and of the bucket.
        account: The daemon's; its e-mail address.
        is_new: Whether the account is made.
        location: Where buckets are made that do not exist; empty when none is to be made.
        jobs: Where pipelines are executed, when that is on Vertex AI.
    """

    ways: tuple[Way, ...]
    project: str
    account: str
    is_new: bool
    location: str = ""
    jobs: Jobs | None = None


def script(setup: Setup) -> str:
    """The whole script."""
    return "\n".join(_lines(setup)) + "\n"


def _lines(setup: Setup) -> Iterator[str]:
    yield from _beginning(setup)
    if setup.is_new:
        yield from _account(setup)
    for bucket in distinct(way.place.bucket for way in setup.ways):
        yield from _bucket(bucket, setup)
    for name in distinct(way.subscription for way in setup.ways):
        yield from _subscription(gcloud.parse_resource(name), setup)
    for place, topic in _notifications(setup.ways):
        yield from _notification(place, topic)
    if setup.jobs is not None:
        yield from jobs_lines(setup.jobs, member=_member(setup), drops=distinct(way.place.bucket for way in setup.ways))
    yield ""
    yield "echo 'Done; see that all is well: trainer-daemon doctor'"


def _beginning(setup: Setup) -> Iterator[str]:
    project = shlex.quote(setup.project)
    yield "#!/usr/bin/env bash"
    yield "# Sets up Google Cloud for trainer-daemon; written by `trainer-daemon setup-gcp --print`."
    yield "# Read it, then run it as somebody who may change IAM policies, with the APIs of Cloud Storage and Pub/Sub enabled."
    yield "# It can be run again: what exists is kept."
    yield "set -euo pipefail"
    yield ""
    yield "# Google's own accounts: the one that buckets publish notifications with, the one that moves dead letters."
    yield f"storage_agent=$(gcloud storage service-agent --project={project})"
    yield from _pubsub_agents(setup)


def _pubsub_agents(setup: Setup) -> Iterator[str]:
    for project in distinct(gcloud.parse_resource(way.subscription).project for way in setup.ways):
        command = ("gcloud", "projects", "describe", project, "--format=value(projectNumber)")
        yield f"{_number_variable(setup, project)}=$({shlex.join(command)})"


def _number_variable(setup: Setup, project: str) -> str:
    projects = distinct(gcloud.parse_resource(way.subscription).project for way in setup.ways)
    return f"project_number_{projects.index(project) + 1}"


def _account(setup: Setup) -> Iterator[str]:
    yield ""
    yield "# The daemon's account. Let its workload act as it, by Workload Identity for instance; it needs no key."
    yield from unless(gcloud.describe_account(setup.account), gcloud.create_account(setup.account, "trainer-daemon"))


def _bucket(bucket: str, setup: Setup) -> Iterator[str]:
    yield ""
    yield f"# The bucket {bucket}: the daemon lists and reads it, nothing else."
    if setup.location:
        made = gcloud.create_bucket(bucket, setup.location, f"--project={setup.project}")
        yield from unless(gcloud.describe_bucket(bucket), made)
    yield from quietly(gcloud.grant_on_bucket(bucket, _member(setup), "roles/storage.objectViewer"))
    yield "# Only for `trainer-daemon doctor`, to look at the bucket's notification configurations; the daemon does without:"
    yield f"# {gcloud.line(gcloud.grant_on_bucket(bucket, _member(setup), 'roles/storage.legacyBucketReader'))}"


def _subscription(subscription: Resource, setup: Setup) -> Iterator[str]:
    topic, dead_letters, kept = _topic(subscription), _dead_letters(subscription), _kept(subscription)
    yield ""
    yield from _same_topic(subscription, topic)
    yield f"# The topic of {subscription.name}, to which buckets publish."
    yield from unless(gcloud.describe(topic), gcloud.create_topic(topic))
    yield from quietly(gcloud.grant(topic, STORAGE_AGENT, "roles/pubsub.publisher"))
    yield "# Messages that could not be recorded again and again end here, and are kept for somebody to look at."
    yield from unless(gcloud.describe(dead_letters), gcloud.create_topic(dead_letters))
    yield from unless(gcloud.describe(kept), gcloud.create_subscription(kept, dead_letters, gcloud.settings_flags()))
    yield "# The subscription. It never expires: between two monthly drops it is quiet for longer than the default, 31 days."
    yield "# No filter, since a filter can never be changed and the bucket only tells of what is wanted; no ordering, since"
    yield "# notifications carry no ordering key and the daemon orders by generation."
    flags = gcloud.settings_flags(dead_letters)
    yield from unless(
        gcloud.describe(subscription),
        gcloud.create_subscription(subscription, topic, flags),
        otherwise=gcloud.update_subscription(subscription, flags),
    )
    yield from _roles(subscription, dead_letters, setup)


def _same_topic(subscription: Resource, topic: Resource) -> Iterator[str]:
    """Begin nothing for a subscription that exists and is of another topic: that can never be changed."""
    problem = f"{subscription.path} is not of topic {topic.path}; delete it, or configure another one"
    yield f"# If the subscription {subscription.name} exists, it has to be of the topic that is made here."
    yield f"found=$({shlex.join(gcloud.describe(subscription, '--format=value(topic)'))} 2>/dev/null || true)"
    yield f'if [ -n "$found" ] && [ "$found" != {shlex.quote(topic.path)} ]; then'
    yield f"  echo {shlex.quote(problem)} >&2"
    yield "  exit 1"
    yield "fi"


def _roles(subscription: Resource, dead_letters: Resource, setup: Setup) -> Iterator[str]:
    number = _number_variable(setup, subscription.project)
    yield f"pubsub_agent=service-${number}@gcp-sa-pubsub.iam.gserviceaccount.com"
    yield from quietly(gcloud.grant(dead_letters, PUBSUB_AGENT, "roles/pubsub.publisher"))
    yield from quietly(gcloud.grant(subscription, PUBSUB_AGENT, "roles/pubsub.subscriber"))
    yield "# The daemon receives, and looks at the subscription to see that it is there."
    yield from quietly(gcloud.grant(subscription, _member(setup), "roles/pubsub.subscriber"))
    yield from quietly(gcloud.grant(subscription, _member(setup), "roles/pubsub.viewer"))


def _notification(place: Place, topic: Resource) -> Iterator[str]:
    wanted = f"{topic.path}\t{place.prefix}\t{FORMAT}\t{FINALIZED}"
    fields = ",".join(f'"Notification Configuration"{field}' for field in _NOTIFICATION_FIELDS)
    listing = gcloud.list_notifications(place.bucket, topic.path, f"--format=value({fields})")
    yield ""
    yield f"# {place.uri} tells the topic of every object that arrives, with the object's description."
    yield f"listed=$({shlex.join(listing)} | sed 's|^//pubsub.googleapis.com/||')"
    yield f'if ! grep -qxF -e "$(printf %b {_escaped(wanted)})" <<<"$listed"; then'
    yield from indented(wrapped(gcloud.create_notification(place.bucket, topic.path, place.prefix, "--skip-topic-setup")))
    yield "fi"


def _escaped(text: str) -> str:
    """Text as `printf %b` reads it, so that the tabs in it are seen."""
    return shlex.quote(text.replace("\\", "\\\\").replace("\t", "\\t"))


def _notifications(ways: Sequence[Way]) -> Iterator[tuple[Place, Resource]]:
    """Each place and topic once; what lies under a prefix that is told of already needs no telling of its own."""
    told: list[tuple[Place, Resource]] = []
    for way in sorted(ways, key=lambda way: len(way.place.prefix)):
        topic = _topic(gcloud.parse_resource(way.subscription))
        if not any(_covers(place, way.place) and topic == other for place, other in told):
            told.append((way.place, topic))
    return iter(told)


def _covers(wide: Place, narrow: Place) -> bool:
    return wide.bucket == narrow.bucket and narrow.prefix.startswith(wide.prefix)


def _topic(subscription: Resource) -> Resource:
    return Resource(project=subscription.project, kind="topics", name=f"{subscription.name}-drops")


def _dead_letters(subscription: Resource) -> Resource:
    return Resource(project=subscription.project, kind="topics", name=f"{subscription.name}-dead-letters")


def _kept(subscription: Resource) -> Resource:
    return Resource(project=subscription.project, kind="subscriptions", name=f"{subscription.name}-dead-letters")


def _member(setup: Setup) -> str:
    return f"serviceAccount:{setup.account}"
