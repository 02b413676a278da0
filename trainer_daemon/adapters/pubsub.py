"""A Pub/Sub subscription by streaming pull: messages wait in a queue until somebody takes them. Decides nothing about them.

The library keeps a stream open by itself over what it considers passing errors, and says nothing; so a look at the subscription
tells whether the service answers at all. Every opening uses a connection of its own.
"""

import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import TimeoutError as StillClosing
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from google.api_core import exceptions
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
from google.cloud.pubsub_v1 import SubscriberClient
from google.cloud.pubsub_v1.subscriber.message import Message as Received
from google.cloud.pubsub_v1.subscriber.scheduler import Scheduler
from google.cloud.pubsub_v1.types import FlowControl

from trainer_daemon.errors import ConfigError, PermanentError, TemporaryError
from trainer_daemon.policy.notifications import Message
from trainer_daemon.ports import Delivery

if TYPE_CHECKING:
    from google.cloud.pubsub_v1.subscriber.futures import StreamingPullFuture

CALL_TIMEOUT_S = 10.0
CLOSE_S = 2.0
LEASE_S = 10
"""The least that the service allows: what a killed daemon had not acknowledged is delivered again this soon."""
MESSAGES_MAX = 1000
BYTES_MAX = 16 << 20
_REFUSALS = (
    exceptions.NotFound,
    exceptions.PermissionDenied,
    exceptions.Unauthenticated,
    exceptions.InvalidArgument,
    exceptions.FailedPrecondition,
)


class PubsubSubscription:
    """See `Subscription`.

    Args:
        name: `projects/<project>/subscriptions/<name>`.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._client: SubscriberClient | None = None
        self._stream: StreamingPullFuture | None = None
        self._waiting = _Waiting()

    def check(self) -> None:
        """Ask once whether the subscription can be used.

        Raises:
            ConfigError: It does not exist or may not be used; the sentence holds the command that would change it.
            TemporaryError: The service does not answer.
            PermanentError: It refuses for another reason.
        """
        try:
            with self._translated():
                self._ask()
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
        with self._translated():
            self._ask()
            assert self._client is not None  # noqa: S101 - asked a line above
            self._waiting = _Waiting(on_arrival)
            self._stream = self._client.subscribe(
                self._name,
                callback=_never,
                flow_control=FlowControl(
                    max_messages=MESSAGES_MAX, max_bytes=BYTES_MAX, max_duration_per_lease_extension=LEASE_S
                ),
                scheduler=self._waiting,
            )
        self._stream.add_done_callback(lambda _: on_end())

    def probe(self) -> None:
        """See `Subscription`."""
        stream = self._stream
        if stream is None or not stream.done():
            with self._translated():
                self._ask()
            return
        with self._translated():
            stream.result(timeout=0)
        msg = f"pubsub {self._name}: the stream has ended"
        raise TemporaryError(msg)

    def take(self, limit: int) -> Sequence[Delivery]:
        """See `Subscription`."""
        return [Delivery(message=_message(received), ack=received.ack) for received in self._waiting.take(limit)]

    def close(self) -> None:
        """See `Subscription`; does nothing when the stream is closed."""
        client, stream = self._client, self._stream
        self._client = self._stream = None
        if stream is not None and not stream.done():
            stream.cancel()
            with suppress(StillClosing, exceptions.GoogleAPICallError):
                stream.result(timeout=CLOSE_S)
        if client is not None:
            client.close()

    def _ask(self) -> None:
        """Look at the subscription; the first look opens the connection."""
        if self._client is None:
            self._client = SubscriberClient()
        self._client.get_subscription(subscription=self._name, retry=None, timeout=CALL_TIMEOUT_S)

    def _creating(self) -> str:
        _, project, _, name = self._name.split("/")
        command = f"gcloud pubsub subscriptions create {name} --project={project} --topic=TOPIC"
        return f"{command}, where TOPIC is the one that the bucket's notifications go to"

    def _granting(self) -> str:
        """Of the roles there are, those with the least permissions that suffice."""
        _, project, _, name = self._name.split("/")
        command = (
            f"gcloud pubsub subscriptions add-iam-policy-binding {name} --project={project} --member={_member(self._client)}"
        )
        return f"{command} --role=roles/pubsub.subscriber, and the same with --role=roles/pubsub.viewer"

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (*_REFUSALS, DefaultCredentialsError) as exc:
            msg = f"pubsub {self._name}: {exc}"
            raise PermanentError(msg) from exc
        except (exceptions.GoogleAPICallError, exceptions.RetryError, GoogleAuthError) as exc:
            msg = f"pubsub {self._name}: {exc}"
            raise TemporaryError(msg) from exc


class _Waiting(Scheduler):  # type: ignore[misc]  # the library has no types
    """Takes the place of the library's pool of threads: messages wait in a queue, in order, until they are taken."""

    def __init__(self, on_arrival: Callable[[], None] = lambda: None) -> None:
        self._on_arrival = on_arrival
        self._arrived: queue.SimpleQueue[Received] = queue.SimpleQueue()
        self._requests: queue.Queue[Any] = queue.Queue()

    @property
    def queue(self) -> "queue.Queue[Any]":
        """Where the library's messages put their acknowledgements."""
        return self._requests

    def schedule(self, callback: Callable[..., None], *args: Received, **_: object) -> None:  # noqa: ARG002 - the library's signature
        """Called by the library with each message."""
        self._arrived.put(args[0])
        self._on_arrival()

    def shutdown(self, await_msg_callbacks: bool = False) -> list[Received]:  # noqa: ARG002, FBT001, FBT002 - the library's signature
        """Called by the library when the stream closes; what it gets back is given back to the service."""
        return self.take(MESSAGES_MAX)

    def take(self, limit: int) -> list[Received]:
        """Up to so many messages, oldest first."""
        taken: list[Received] = []
        with suppress(queue.Empty):
            while len(taken) < limit:
                taken.append(self._arrived.get_nowait())
        return taken


def _never(_message: Received) -> None:
    """The library wants a callback; `_Waiting` does not call it."""


def _message(received: Received) -> Message:
    return Message(
        id=received.message_id,
        attributes=dict(received.attributes),
        data=received.data,
        published_at=received.publish_time,
    )


def _member(client: SubscriberClient | None) -> str:
    """Whom to grant a role: the account of the credentials, when they tell."""
    credentials = getattr(getattr(client, "transport", None), "_credentials", None)
    account = getattr(credentials, "service_account_email", "")
    return f"serviceAccount:{account}" if account and account != "default" else "serviceAccount:THE_ACCOUNT_OF_THE_DAEMON"
