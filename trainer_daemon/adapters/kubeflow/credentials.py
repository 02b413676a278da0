"""Who the daemon is to a Kubeflow installation: what goes into a request's headers, read again whenever it may have changed."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from trainer_daemon.errors import TemporaryError
from trainer_daemon.remote.errors import Unauthenticated

if TYPE_CHECKING:
    import google.auth.credentials

Headers = Mapping[str, str]


class Credentials(Protocol):
    """One way to authenticate; used by several threads at once."""

    def headers(self) -> Headers:
        """What goes with the next request.

        Raises:
            Unauthenticated: There is no credential.
        """

    def renew(self, stale: Headers) -> bool:
        """These headers were turned away: get others, if that is possible; whether there are others now.

        Raises:
            Unauthenticated: Whoever gives credentials refuses to.
            TemporaryError: They cannot be reached.
        """


class NoCredentials:
    """An installation that asks nobody, as behind `kubectl port-forward`."""

    def headers(self) -> Headers:
        """Nothing."""
        return {}

    def renew(self, stale: Headers) -> bool:  # noqa: ARG002 - of the Protocol
        """There is nothing to renew."""
        return False


class FixedToken:
    """A bearer token from the environment, which nobody can renew while the process lives."""

    def __init__(self, token: str) -> None:
        self._token = token

    def headers(self) -> Headers:
        """The token."""
        return _bearer(self._token)

    def renew(self, stale: Headers) -> bool:  # noqa: ARG002 - of the Protocol
        """It stays what it is."""
        return False


class TokenFile:
    """A bearer token in a file that somebody renews, as the kubelet does; read for every request."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def headers(self) -> Headers:
        """The token as it is now."""
        return _bearer(read_secret(self._path, "the token"))

    def renew(self, stale: Headers) -> bool:
        """Whether it was replaced between the request and its refusal."""
        return self.headers() != stale


class IapToken:
    """An identity token for Google's Identity-Aware Proxy, signed for the application default credentials.

    Args:
        client_id: The OAuth client that the proxy stands for.
        timeout_s: Of a call to Google.
    """

    def __init__(self, client_id: str, *, timeout_s: float) -> None:
        self._client_id = client_id
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._credentials: google.auth.credentials.Credentials | None = None

    def headers(self) -> Headers:
        """The token, a new one when it is about to expire."""
        with self._lock:
            if self._credentials is None or not self._credentials.valid:
                self._fetch()
            assert self._credentials is not None  # noqa: S101 - for the type checker
            return _bearer(str(self._credentials.token))

    def renew(self, stale: Headers) -> bool:
        """A new token, unless another thread has it already."""
        with self._lock:
            if self._credentials is not None and _bearer(str(self._credentials.token)) == stale:
                self._fetch()
        return True

    def _fetch(self) -> None:
        from google.auth import exceptions
        from google.oauth2 import id_token

        try:
            request = _google_request(self._timeout_s)
            found = id_token.fetch_id_token_credentials(self._client_id, request=request)  # type: ignore[no-untyped-call]
            found.refresh(request)
            self._credentials = found
        except exceptions.TransportError as exc:
            msg = f"cannot reach Google for an identity token: {exc}"
            raise TemporaryError(msg) from exc
        except exceptions.GoogleAuthError as exc:
            msg = (
                f"Google gives no identity token for client {self._client_id}: {exc}; "
                "give the daemon a service account, by Workload Identity or by GOOGLE_APPLICATION_CREDENTIALS"
            )
            raise Unauthenticated(msg) from exc


class CookiesFile:
    """Further cookies, in a file with one line as a request's header has them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self) -> str:
        """The line as it is now."""
        return read_secret(self._path, "the cookies")


def read_secret(path: Path, what: str) -> str:
    """The text of a file that holds one secret, read now.

    Raises:
        Unauthenticated: It cannot be read, or is empty.
    """
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        msg = f"{what} for Kubeflow Pipelines cannot be read from {path}: {exc}; mount the secret, or correct its path"
        raise Unauthenticated(msg) from exc
    if not text:
        msg = f"{what} for Kubeflow Pipelines is empty in {path}; write it there"
        raise Unauthenticated(msg)
    return text


def _bearer(token: str) -> Headers:
    return {"Authorization": f"Bearer {token}"}


def _google_request(timeout_s: float) -> Callable[..., object]:
    import urllib3
    from google.auth.transport.urllib3 import Request

    made: Callable[..., object] = Request(  # type: ignore[no-untyped-call]
        urllib3.PoolManager(timeout=timeout_s, retries=False)
    )
    return made
