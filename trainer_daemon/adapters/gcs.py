"""Google Cloud Storage as the bucket: lists the drops in it, page by page. Decides nothing about them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from google.api_core import exceptions
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
from google.cloud.storage import Blob, Client
from google.cloud.storage.notification import BucketNotification
from google.cloud.storage.retry import DEFAULT_RETRY

from trainer_daemon.errors import ConfigError, InvalidEvent, PermanentError, TemporaryError
from trainer_daemon.policy.delivery import NotificationConfig
from trainer_daemon.policy.events import NO_MONTH, is_misnamed_data, looks_like_drop, other_name, parse_period
from trainer_daemon.policy.objects import SCHEME, Place, StoredObject, parse_object
from trainer_daemon.ports import Found, Ignored, Known, Listed

Resource = Mapping[str, Any]
"""An object as the service describes it."""
PAGE = 1000
NO_CREDENTIALS = (
    "Google Cloud is used, but there are no application default credentials; get them: gcloud auth application-default login, "
    "or run as a service account"
)
_CHECK_TIMEOUT_S = 10.0
_TIMEOUT_S = 30.0
_RETRY_S = 60.0
_FIELDS = "items(name,generation,crc32c,size,timeCreated),nextPageToken"
_PASSING = frozenset({408, 429})


def open_client() -> Client:
    """A client with application default credentials, or of the emulator that STORAGE_EMULATOR_HOST names.

    Raises:
        ConfigError: There are no such credentials.
    """
    try:
        return Client(project=None)  # objects belong to buckets, and only those to projects
    except DefaultCredentialsError as exc:
        raise ConfigError(NO_CREDENTIALS) from exc


def find_object(client: Client, uri: str, generation: str = "") -> StoredObject | None:
    """One object; None when there is none.

    Args:
        client: Of the storage service.
        uri: `gs://bucket/object`.
        generation: Empty for the current one.

    Raises:
        InvalidEvent: It has no checksum.
        TemporaryError: The service does not answer.
        PermanentError: It refuses.
    """
    bucket, _, name = uri.removeprefix(SCHEME).partition("/")
    with translated(f"cannot look at {uri}"):
        retry = DEFAULT_RETRY.with_timeout(_RETRY_S)
        blob = client.bucket(bucket).get_blob(
            name, generation=int(generation) if generation else None, timeout=_TIMEOUT_S, retry=retry
        )
    return None if blob is None else parse_object(bucket, _resource(blob))


class StorageBucket:
    """The drops directly under a prefix; see `Bucket`.

    Args:
        place: Where they are.
        client: Of the storage service.
        page: How many objects are listed at a time.
        retry_s: How long a page is asked for again before the listing gives up.
    """

    def __init__(self, place: Place, client: Client, *, page: int = PAGE, retry_s: float = _RETRY_S) -> None:
        self._place = place
        self._client = client
        self._page = page
        self._retry = DEFAULT_RETRY.with_timeout(retry_s)

    def check(self) -> None:
        """Ask once whether the bucket can be listed.

        Raises:
            ConfigError: It does not exist or may not be listed; the sentence holds the command that would change it.
            TemporaryError: The service does not answer.
            PermanentError: It refuses for another reason.
        """
        bucket, uri = self._place.bucket, self._place.uri
        try:
            with self._translated():
                next(self._client.list_blobs(bucket, max_results=1, timeout=_CHECK_TIMEOUT_S, retry=None).pages, None)
        except PermanentError as exc:
            match exc.__cause__:
                case exceptions.NotFound():
                    problem = f"there is none; create it: gcloud storage buckets create gs://{bucket} --location=LOCATION"
                case exceptions.Forbidden() | exceptions.Unauthorized():
                    command = f"gcloud storage buckets add-iam-policy-binding gs://{bucket} --member={_member(self._client)}"
                    problem = f"it may not be read; allow it: {command} --role=roles/storage.objectViewer"
                case _:
                    raise
            raise ConfigError(f'bucket is "{uri}", but {problem}') from exc  # noqa: EM102, TRY003 - one sentence of many

    def names(self, limit: int, *, beginning: str = "") -> tuple[Sequence[str], bool]:
        """Names of what lies directly under the prefix, as seen from there.

        Args:
            limit: How many objects are looked at.
            beginning: Of the names.

        Returns:
            The names, and whether these are all.

        Raises:
            TemporaryError: The service does not answer.
            PermanentError: It refuses.
        """
        prefix = self._place.prefix
        with self._translated():
            blobs = self._client.list_blobs(
                self._place.bucket,
                prefix=prefix + beginning,
                delimiter="/",
                fields="items(name),nextPageToken",
                max_results=limit,
                timeout=_CHECK_TIMEOUT_S,
                retry=None,
            )
            names = [blob.name.removeprefix(prefix) for blob in blobs]
        return [name for name in names if name], len(names) < limit

    def notifications(self) -> Sequence[NotificationConfig] | None:
        """The bucket's notification configurations; None when the account may not look at them, or the service has none.

        Raises:
            TemporaryError: The service does not answer.
            PermanentError: It refuses for another reason.
        """
        try:
            with self._translated("see the notifications of"):
                found = self._client.bucket(self._place.bucket).list_notifications(timeout=_CHECK_TIMEOUT_S, retry=None)
                return [_notification(each) for each in found]
        except PermanentError as exc:
            if isinstance(exc.__cause__, (exceptions.Forbidden, exceptions.Unauthorized, exceptions.NotFound)):
                return None
            raise
        except ValueError as exc:  # the library knows fewer names of projects than the service
            name = self._place.bucket
            msg = f"the notifications of gs://{name} cannot be read: {exc}; gcloud storage buckets notifications list gs://{name}"
            raise PermanentError(msg) from exc

    def list_drops(self, known: Known) -> Iterator[Sequence[Listed]]:
        """See `Bucket`; objects in folders below the prefix are none of its drops."""
        pages = self._pages()
        while (page := self._next(pages)) is not None:
            yield self._compare(page, known)

    def _pages(self) -> Iterator[Any]:
        pages: Iterator[Any] = self._client.list_blobs(
            self._place.bucket,
            prefix=self._place.listed_prefix,
            delimiter="/",
            fields=_FIELDS,
            page_size=self._page,
            timeout=_TIMEOUT_S,
            retry=self._retry,
        ).pages
        return pages

    def _next(self, pages: Iterator[Any]) -> list[Resource] | None:
        """The next page, None after the last one; this is where the service is called.

        The resources are taken as they were sent: to make objects of the library of them takes longer than everything else.
        """
        with self._translated():
            page = next(pages, None)
            return None if page is None else list(page.raw_page.get("items", ()))

    def _compare(self, page: Sequence[Resource], known: Known) -> list[Listed]:
        """What is not on record as it is now; of a drop that is, nothing but name and generation is read."""
        template = self._place.template
        named = [(self._place.name_within(self._place.bucket, resource["name"]) or "", resource) for resource in page]
        periods = [(name, parse_period(name, template), resource) for name, resource in named]
        uris = [self._uri(resource) for _, period, resource in periods if period is not None]
        signatures = known(uris) if uris else {}
        listed = [
            self._no_drop(name) if period is None else self._drop(name, period, resource)
            for name, period, resource in periods
            if period is None or signatures.get(self._uri(resource)) != resource.get("generation")
        ]
        return [item for item in listed if item is not None]

    def _uri(self, resource: Resource) -> str:
        return f"{SCHEME}{self._place.bucket}/{resource['name']}"

    def _drop(self, name: str, period: str, resource: Resource) -> Found | Ignored:
        try:
            return _found(parse_object(self._place.bucket, resource), period)
        except InvalidEvent as exc:
            return Ignored(name=name, reason=str(exc))

    def _no_drop(self, name: str) -> Ignored | None:
        template = self._place.template
        if looks_like_drop(name, template):
            return Ignored(name=name, reason=NO_MONTH)
        return Ignored(name=name, reason=other_name(template), is_foreign=True) if is_misnamed_data(name) else None

    def _translated(self, what: str = "list the drops in") -> AbstractContextManager[None]:
        return translated(f"cannot {what} {self._place.uri}")


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn what the library raises into the two errors that the daemon knows.

    Args:
        what: Begins the sentence.
    """
    try:
        yield
    except exceptions.ClientError as exc:
        error = TemporaryError if exc.code in _PASSING else PermanentError
        msg = f"{what}: {exc.message}"
        raise error(msg) from exc
    except (exceptions.GoogleAPIError, GoogleAuthError, OSError) as exc:  # requests tells its own troubles by OSError
        msg = f"{what}: {exc}"
        raise TemporaryError(msg) from exc


def _notification(config: BucketNotification) -> NotificationConfig:
    return NotificationConfig(
        id=str(config.notification_id),
        topic=f"projects/{config.topic_project}/topics/{config.topic_name}",
        event_types=tuple(config.event_types or ()),
        payload_format=str(config.payload_format),
        prefix=config.blob_name_prefix or "",
    )


def _found(stored: StoredObject, period: str) -> Found:
    drop = stored.drop(period)
    return Found(drop=drop, signature=drop.generation, modified_at=stored.created_at, order=stored.generation)


def _resource(blob: Blob) -> dict[str, Any]:
    """The object's resource as the service sent it."""
    created = blob.time_created
    return {
        "name": blob.name,
        "generation": str(blob.generation),
        "crc32c": blob.crc32c,
        "size": str(blob.size),
        "timeCreated": created.isoformat() if created else None,
    }


def _member(client: Client) -> str:
    """Whom to grant a role: the account of the credentials, when they tell."""
    account = getattr(getattr(client, "_credentials", None), "service_account_email", "")
    return f"serviceAccount:{account}" if account and account != "default" else "serviceAccount:THE_ACCOUNT_OF_THE_DAEMON"
