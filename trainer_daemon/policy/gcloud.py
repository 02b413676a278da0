"""Commands of `gcloud` that set up what the daemon reads from: one function per command, as words. Pure.

What the doctor recommends and what `setup-gcp` writes are the same commands, so they are made in one place.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from trainer_daemon.policy.notifications import FINALIZED

Command = tuple[str, ...]

ACK_DEADLINE_S = 60
"""For whoever pulls by hand; the daemon asks for leases of its own."""
RETENTION = "7d"
ATTEMPTS = 20
"""Each restart of the daemon and each outage of the ledger may cost a message one, so not the least that is allowed, 5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A topic or a subscription.

    Attributes:
        kind: `topics` or `subscriptions`.
    """

    project: str
    kind: str
    name: str

    @property
    def path(self) -> str:
        """Its full name."""
        return f"projects/{self.project}/{self.kind}/{self.name}"

    @property
    def words(self) -> Command:
        """How commands name it."""
        return self.name, f"--project={self.project}"


def parse_resource(path: str) -> Resource:
    """The resource of a full name, such as `projects/<project>/subscriptions/<name>`."""
    _, project, kind, name = path.split("/")
    return Resource(project=project, kind=kind, name=name)


def line(*commands: Command) -> str:
    """Commands as one line for a shell, each only executed when the one before succeeded."""
    return " && ".join(shlex.join(command) for command in commands)


def settings_flags(dead_letters: Resource | None = None) -> Command:
    """What a subscription needs so that nothing is lost while nobody reads it."""
    flags = (
        f"--ack-deadline={ACK_DEADLINE_S}",
        f"--message-retention-duration={RETENTION}",
        "--expiration-period=never",
    )
    if dead_letters is None:
        return flags
    return *flags, f"--dead-letter-topic={dead_letters.path}", f"--max-delivery-attempts={ATTEMPTS}"


def create_topic(topic: Resource) -> Command:
    """Make a topic."""
    return "gcloud", "pubsub", "topics", "create", *topic.words


def create_subscription(subscription: Resource, topic: Resource, flags: Sequence[str]) -> Command:
    """Make a subscription to a topic."""
    return "gcloud", "pubsub", "subscriptions", "create", *subscription.words, f"--topic={topic.path}", *flags


def update_subscription(subscription: Resource, flags: Sequence[str]) -> Command:
    """Change settings of a subscription."""
    return "gcloud", "pubsub", "subscriptions", "update", *subscription.words, *flags


def delete_subscription(subscription: Resource) -> Command:
    """Delete a subscription with the messages that wait in it."""
    return "gcloud", "pubsub", "subscriptions", "delete", *subscription.words


def stop_pushing(subscription: Resource) -> Command:
    """Make a subscription that pushes one that is pulled from."""
    return "gcloud", "pubsub", "subscriptions", "modify-push-config", *subscription.words, "--push-endpoint="


def describe(resource: Resource, *flags: str) -> Command:
    """Look at a topic or a subscription; fails when there is none."""
    return "gcloud", "pubsub", resource.kind, "describe", *resource.words, *flags


def grant(resource: Resource, member: str, role: str) -> Command:
    """Give a role on one topic or subscription."""
    return "gcloud", "pubsub", resource.kind, "add-iam-policy-binding", *resource.words, f"--member={member}", f"--role={role}"


def grant_on_bucket(bucket: str, member: str, role: str) -> Command:
    """Give a role on one bucket."""
    return "gcloud", "storage", "buckets", "add-iam-policy-binding", f"gs://{bucket}", f"--member={member}", f"--role={role}"


def describe_bucket(bucket: str) -> Command:
    """Look at a bucket; fails when there is none."""
    return "gcloud", "storage", "buckets", "describe", f"gs://{bucket}"


def create_bucket(bucket: str, location: str, *flags: str) -> Command:
    """Make a bucket that nobody can open to the public."""
    where = (f"gs://{bucket}", *flags, f"--location={location}")
    return "gcloud", "storage", "buckets", "create", *where, "--uniform-bucket-level-access", "--public-access-prevention"


def grant_on_account(account: str, member: str, role: str) -> Command:
    """Give a role on one service account."""
    binding = (f"--project={project_of(account)}", f"--member={member}", f"--role={role}")
    return "gcloud", "iam", "service-accounts", "add-iam-policy-binding", account, *binding


def grant_on_project(project: str, member: str, role: str) -> Command:
    """Give a role on a whole project, whatever further conditions others there have."""
    return "gcloud", "projects", "add-iam-policy-binding", project, "--condition=None", f"--member={member}", f"--role={role}"


def create_account(account: str, title: str) -> Command:
    """Make a service account."""
    name, where = account.partition("@")[0], f"--project={project_of(account)}"
    return "gcloud", "iam", "service-accounts", "create", name, where, f"--display-name={title}"


def describe_account(account: str) -> Command:
    """Look at a service account; fails when there is none."""
    return "gcloud", "iam", "service-accounts", "describe", account, f"--project={project_of(account)}"


def custom_role(verb: str, role: str, project: str, *flags: str) -> Command:
    """Describe, create or update a role of a project's own."""
    return "gcloud", "iam", "roles", verb, role, f"--project={project}", *flags


def enable_api(api: str, project: str) -> Command:
    """Let a project use an API of Google Cloud."""
    return "gcloud", "services", "enable", api, f"--project={project}"


def project_of(account: str) -> str:
    """The project of a service account, by its e-mail address."""
    return account.partition("@")[2].removesuffix(".iam.gserviceaccount.com")


def create_notification(bucket: str, topic: str, prefix: str, *flags: str) -> Command:
    """Have a bucket tell a topic of every object that arrives under a prefix.

    Args:
        bucket: Its name.
        topic: The topic's full name.
        prefix: Empty for the whole bucket.
        flags: Further ones, such as `--skip-topic-setup`; without it the command sees itself that the bucket may publish.
    """
    where = (f"--object-prefix={prefix}",) if prefix else ()
    what = (_project(topic), f"--topic={topic}", f"--event-types={FINALIZED}", "--payload-format=json", *where, *flags)
    return "gcloud", "storage", "buckets", "notifications", "create", f"gs://{bucket}", *what


def list_notifications(bucket: str, topic: str, *flags: str) -> Command:
    """Look at the notification configurations of a bucket."""
    return "gcloud", "storage", "buckets", "notifications", "list", f"gs://{bucket}", _project(topic), *flags


def delete_notification(bucket: str, topic: str, notification_id: str) -> Command:
    """Have a bucket no longer tell a topic by one of its notification configurations."""
    name = f"projects/_/buckets/{bucket}/notificationConfigs/{notification_id}"
    return "gcloud", "storage", "buckets", "notifications", "delete", name, _project(topic)


def _project(topic: str) -> str:
    """These commands refuse to work without a project, although they do not use it."""
    return f"--project={parse_resource(topic).project}"
