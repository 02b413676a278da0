"""A Pub/Sub subscription by streaming pull: messages wait in a queue until somebody takes them. Decides nothing about them.

This uses the streaming call of the client library itself, not its `subscribe`: that one hides every error that it takes for a
passing one, opens streams again after they were closed, and blocks for ten seconds when it is closed while the service is away.
Here a stream that ends has ended, with a reason; opening it again is the subscriber's business. Each has a connection of its own.
"""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, timedelta
from typing import Any

from google.api_core import exceptions
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
from google.cloud.pubsub_v1 import SubscriberClient
from google.pubsub_v1.types import StreamingPullRequest, StreamingPullResponse
from google.pubsub_v1.types import Subscription as ServiceSubscription

from trainer_daemon.errors import ConfigError, PermanentError, TemporaryError
from trainer_daemon.policy.delivery import SubscriptionConfig
from trainer_daemon.policy.notifications import Message
from trainer_daemon.ports import Delivery

CALL_TIMEOUT_S = 10.0
CLOSE_S = 1.0
LEASE_S = 10
"""The least that the service allows: what a killed daemon had not acknowledged is delivered again this soon."""
HOLD_S = 600
"""The most that the service allows, and longer than the longest pause between two attempts to record something."""
EXPIRATION_DEFAULT = timedelta(days=31)
"""What holds for a subscription that says nothing of its expiration."""
MESSAGES_MAX = 1000
BYTES_MAX = 16 << 20
_REFUSALS = (
    exceptions.NotFound,
    exceptions.PermissionDenied,
    exceptions.Unauthenticated,
    exceptions.InvalidArgument,
    exceptions.FailedPrecondition,
    DefaultCredentialsError,
)


class PubsubSubscription:
    """See `Subscription`. Only one thread may use it.

    Args:
        name: `projects/<project>/subscriptions/<name>`.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._client: SubscriberClient | None = None
        self._stream: _Stream | None = None

    def check(self) -> None:
        """Ask once whether the subscription can be used; raises as `describe` does."""
        self.describe()

    def describe(self) -> SubscriptionConfig:
        """How the subscription is set up.

        Raises:
            ConfigError: It does not exist or may not be used; the sentence holds the command that would change it.
            TemporaryError: The service does not answer.
            PermanentError: It refuses for another reason.
        """
        try:
            return _config(self._look()[1])
        except PermanentError as exc:
            match exc.__cause__:
                case exceptions.NotFound():
                    problem = f"there is none; create it: {self._creating()}"
                case exceptions.PermissionDenied() | exceptions.Unauthenticated():
                    problem = f"it may not be used; allow it: {self._granting()}"
                case DefaultCredentialsError():
                    problem = "there are no application default credentials; get them: gcloud auth application-default login"
                case _:
                    raise
            raise ConfigError(f'subscription is "{self._name}", but {problem}') from exc  # noqa: EM102, TRY003 - one sentence of many
        finally:
            self.close()

    def open(self, *, on_arrival: Callable[[], None], on_end: Callable[[], None]) -> None:
        """See `Subscription`."""
        client = self._ask()
        with self._translated():
            self._stream = _Stream(client, self._name, on_arrival=on_arrival, on_end=on_end)

    def probe(self) -> None:
        """See `Subscription`."""
        if self._stream is not None:
            self._stream.beat()
            with self._translated():
                self._stream.check()
        self._ask()

    def take(self, limit: int) -> Sequence[Delivery]:
        """See `Subscription`."""
        return self._stream.take(limit) if self._stream is not None else ()

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """See `Subscription`."""
        if self._client is None or not deliveries:
            return
        # of receipts that ran out, a subscription with exactly-once delivery says so: those messages come again
        with self._translated(), suppress(exceptions.FailedPrecondition):
            ids = [delivery.receipt for delivery in deliveries]
            self._client.acknowledge(subscription=self._name, ack_ids=ids, retry=None, timeout=CALL_TIMEOUT_S)

    def hold(self, deliveries: Sequence[Delivery]) -> None:
        """See `Subscription`."""
        self._extend(deliveries, HOLD_S)

    def close(self, give_back: Sequence[Delivery] = ()) -> None:
        """See `Subscription`."""
        if self._stream is not None:
            self._stream.close()  # first: what is given back would come by it again
        with suppress(TemporaryError, PermanentError):
            self._extend(give_back, 0)
        if self._client is not None:
            self._client.close()
        self._client = self._stream = None

    def _extend(self, deliveries: Sequence[Delivery], seconds: int) -> None:
        if self._client is None or not deliveries:
            return
        with self._translated(), suppress(exceptions.FailedPrecondition):
            ids = [delivery.receipt for delivery in deliveries]
            self._client.modify_ack_deadline(
                subscription=self._name, ack_ids=ids, ack_deadline_seconds=seconds, retry=None, timeout=CLOSE_S
            )

    def _ask(self) -> SubscriberClient:
        """See that the subscription is there."""
        return self._look()[0]

    def _look(self) -> tuple[SubscriberClient, ServiceSubscription]:
        """Look at the subscription; the first look opens the connection."""
        with self._translated():
            client = self._client = self._client or SubscriberClient()
            return client, client.get_subscription(subscription=self._name, retry=None, timeout=CALL_TIMEOUT_S)

    def _creating(self) -> str:
        _, project, _, name = self._name.split("/")
        command = f"gcloud pubsub subscriptions create {name} --project={project} --topic=TOPIC"
        return f"{command}, where TOPIC is the one that the bucket's notifications go to"

    def _granting(self) -> str:
        """Of the roles there are, those with the least permissions that suffice."""
        _, project, _, name = self._name.split("/")
        who = f"--project={project} --member={_member(self._client)}"
        command = f"gcloud pubsub subscriptions add-iam-policy-binding {name} {who}"
        return f"{command} --role=roles/pubsub.subscriber, and the same with --role=roles/pubsub.viewer"

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except _REFUSALS as exc:
            msg = f"pubsub {self._name}: {exc}"
            raise PermanentError(msg) from exc
        except (exceptions.GoogleAPIError, GoogleAuthError) as exc:
            msg = f"pubsub {self._name}: {exc}"
            raise TemporaryError(msg) from exc


def _config(subscription: ServiceSubscription) -> SubscriptionConfig:
    expiration = subscription.expiration_policy
    never = "expiration_policy" in subscription and "ttl" not in expiration
    ttl = expiration.ttl if "expiration_policy" in subscription and not never else EXPIRATION_DEFAULT
    return SubscriptionConfig(
        name=subscription.name,
        topic=subscription.topic,
        exports_to=_exported(subscription),
        is_detached=subscription.detached,
        filter=subscription.filter,
        ack_deadline_s=subscription.ack_deadline_seconds,
        retention_s=subscription.message_retention_duration.total_seconds(),
        expires_after_s=None if never else ttl.total_seconds(),
        dead_letter_topic=subscription.dead_letter_policy.dead_letter_topic,
        attempts=subscription.dead_letter_policy.max_delivery_attempts,
    )


def _exported(subscription: ServiceSubscription) -> str:
    """Where the service sends the messages by itself."""
    push, table, bucket = subscription.push_config, subscription.bigquery_config, subscription.cloud_storage_config
    return str(push.push_endpoint or table.table or (bucket.bucket and f"gs://{bucket.bucket}"))


class _Stream:
    """One streaming call: a thread reads what comes and puts it into a queue.

    Args:
        client: Of the stream's own; closing it ends the stream.
        name: Of the subscription.
        on_arrival: See `Subscription`.
        on_end: See `Subscription`.
    """

    def __init__(
        self, client: SubscriberClient, name: str, *, on_arrival: Callable[[], None], on_end: Callable[[], None]
    ) -> None:
        self._on_arrival, self._on_end = on_arrival, on_end
        self._arrived: queue.SimpleQueue[Delivery] = queue.SimpleQueue()
        self._requests: queue.SimpleQueue[StreamingPullRequest | None] = queue.SimpleQueue()
        self._end: exceptions.GoogleAPIError | GoogleAuthError | None = None
        self._closed = False
        self._requests.put(
            StreamingPullRequest(
                subscription=name,
                stream_ack_deadline_seconds=LEASE_S,
                max_outstanding_messages=MESSAGES_MAX,
                max_outstanding_bytes=BYTES_MAX,
            )
        )
        where = (("x-goog-request-params", f"subscription={name}"),)
        requests = iter(self._requests.get, None)
        self._responses = client.streaming_pull(requests=requests, retry=None, timeout=None, metadata=where)
        self._thread = threading.Thread(target=self._read, name="pubsub", daemon=True)
        self._thread.start()

    def beat(self) -> None:
        """Show the service that somebody is there; it ends streams on which nobody says anything."""
        self._requests.put(StreamingPullRequest())

    def check(self) -> None:
        """Return while the stream is open.

        Raises:
            GoogleAPIError: Why it has ended.
        """
        if self._end is not None:
            raise self._end

    def take(self, limit: int) -> Sequence[Delivery]:
        """Up to so many messages, oldest first."""
        taken: list[Delivery] = []
        with suppress(queue.Empty):
            while len(taken) < limit:
                taken.append(self._arrived.get_nowait())
        return taken

    def close(self) -> None:
        """End it; nobody has to be told of this end."""
        self._closed = True
        self._responses.cancel()
        self._thread.join(CLOSE_S)

    def _read(self) -> None:
        try:
            for response in self._responses:
                for received in StreamingPullResponse.pb(response).received_messages:
                    self._arrived.put(_delivery(received))
                self._on_arrival()
            self._end = exceptions.ServiceUnavailable("the service has ended the stream")  # type: ignore[no-untyped-call]
        except (exceptions.GoogleAPIError, GoogleAuthError) as exc:
            self._end = exc
        finally:
            self._requests.put(None)  # ends the thread that sends requests
            if not self._closed:
                self._on_end()


def _delivery(received: Any) -> Delivery:  # noqa: ANN401 - the library has no types
    message = received.message
    return Delivery(
        message=Message(
            id=message.message_id,
            attributes=dict(message.attributes),
            data=message.data,
            published_at=message.publish_time.ToDatetime(UTC),
        ),
        receipt=received.ack_id,
    )


def _member(client: SubscriberClient | None) -> str:
    """Whom to grant a role: the account of the credentials, when they tell."""
    credentials = getattr(getattr(client, "transport", None), "_credentials", None)
    account = getattr(credentials, "service_account_email", "")
    return f"serviceAccount:{account}" if account and account != "default" else "serviceAccount:THE_ACCOUNT_OF_THE_DAEMON"
