"""The HTTP below the generated client: deadlines, credentials, and every failure as one of our errors.

The generated client on its own ignores a time-out that is no whole number, follows a redirect to a login page and takes that page
for an empty list of runs, sleeps through a `Retry-After`, and loses the reason of a failed TLS handshake. So its lowest layer is
replaced: an answer is a JSON object of the API server, or an error.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import urllib3
from kfp_server_api import ApiException, Configuration
from kfp_server_api.rest import RESTClientObject
from structlog.typing import FilteringBoundLogger

from trainer_daemon.adapters.kubeflow.credentials import Credentials
from trainer_daemon.errors import TemporaryError
from trainer_daemon.policy.retry_after import retry_after_s
from trainer_daemon.policy.text import plain, storable
from trainer_daemon.remote.admission import Admission
from trainer_daemon.remote.errors import Refused, Unauthenticated

_CHUNK_BYTES = 1 << 16
_MESSAGE_MAX = 500
_MESSAGE_KEYS = ("message", "error", "error_message")
"""Of the gateway of the API, and of uploads, which do not pass it."""
_REDIRECTS = range(300, 400)
_TEMPORARY = frozenset({408, 425, 429, *range(500, 600)})


@dataclass(slots=True, kw_only=True)
class Answer:
    """What came back, read completely; looks to the generated client like a response of its own, whose `data` it decodes."""

    status: int
    reason: str
    headers: Mapping[str, str]
    data: bytes

    def getheader(self, name: str, default: str | None = None) -> str | None:
        """One header."""
        return self.headers.get(name, default)

    def getheaders(self) -> Mapping[str, str]:
        """All of them."""
        return self.headers

    @property
    def is_success(self) -> bool:
        """Whether the status says so."""
        return self.status // 100 == 2  # noqa: PLR2004 - the class of statuses that succeed

    def document(self) -> dict[str, Any] | None:
        """The JSON object that every answer of the API server is, fit to be kept; None when somebody else answered."""
        try:
            document = storable(json.loads(self.data))
        except (ValueError, RecursionError):
            return None
        return document if isinstance(document, dict) else None


class Transport(RESTClientObject):  # type: ignore[misc] # the library has no types
    """Sends what the generated client wants sent.

    Args:
        configuration: The generated client's.
        credentials: Who we are.
        cookies: Further cookies as a header has them.
        timeout_s: For one call from begin to end; a renewal of the credential gives it another.
        log: The daemon's.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        credentials: Credentials,
        cookies: Callable[[], str],
        timeout_s: float,
        log: FilteringBoundLogger,
    ) -> None:
        configuration.retries = False  # errors and redirects as they are, at once
        super().__init__(configuration)
        self._credentials = credentials
        self._cookies = cookies
        self._timeout_s = timeout_s
        self._admission = Admission(log)

    def request(
        self,
        method: str,
        url: str,
        query_params: Any = None,  # noqa: ANN401 - as the base class
        headers: Mapping[str, str] | None = None,
        body: Any = None,  # noqa: ANN401
        post_params: Any = None,  # noqa: ANN401
        _preload_content: bool = True,  # noqa: FBT001, FBT002
        _request_timeout: object = None,
    ) -> Answer:
        """One call.

        Raises:
            Refused: The API server refuses it.
            Unauthenticated: It was turned away, and a renewed credential, too.
            TemporaryError: Anything else that may go by itself.
        """
        what = f"{method} {urlsplit(url).path}"
        given = {"query_params": query_params, "body": body, "post_params": post_params}
        try:
            answer = self._admitted(what, lambda own: self._send(method, url, {**(headers or {}), **own}, given))
        except Unauthenticated as exc:
            self._admission.refused(str(exc))
            raise
        checked = _checked(what, answer)
        self._admission.granted()
        return checked

    def _admitted(self, what: str, send: Callable[[Mapping[str, str]], Answer]) -> Answer:
        """The answer; asked for once more with a renewed credential when it is that somebody unknown asks."""
        own = self._credentials.headers()
        answer = send(own)
        if _turned_away(answer) and self._credentials.renew(own):
            answer = send(self._credentials.headers())
        if _turned_away(answer):
            told = f"{what} → {_told(answer)}"
            msg = f"Kubeflow Pipelines does not take the daemon's credential: {told}; renew it, or correct orchestrator.auth"
            raise Unauthenticated(msg)
        return answer

    def _send(self, method: str, url: str, headers: dict[str, str], given: Mapping[str, Any]) -> Answer:
        if extra := self._cookies():
            headers["Cookie"] = "; ".join(cookie for cookie in (headers.get("Cookie", ""), extra) if cookie)
        # a kept connection may have been closed by the other side; asking again is harmless, creating again is not
        attempts = 2 if method == "GET" else 1
        while True:
            attempts -= 1
            try:
                return self._exchange(method, url, dict(headers), given)
            except urllib3.exceptions.ProtocolError as exc:
                if not attempts:
                    msg = f"{method} {urlsplit(url).path} of Kubeflow Pipelines was cut off: {exc}"
                    raise TemporaryError(msg) from exc
            except urllib3.exceptions.HTTPError as exc:
                raise self._unreachable(url, exc) from exc

    def _exchange(self, method: str, url: str, headers: dict[str, str], given: Mapping[str, Any]) -> Answer:
        deadline = time.monotonic() + self._timeout_s
        timeout = (self._timeout_s, self._timeout_s)
        try:
            response = super().request(method, url, headers=headers, _preload_content=False, _request_timeout=timeout, **given)
        except ApiException as exc:
            if not exc.status:  # the library's way to tell of TLS
                msg = f"cannot talk to {_host(url)}: {exc.reason}; orchestrator.ca_file names the certificates to trust"
                raise TemporaryError(msg) from exc
            return Answer(status=exc.status, reason=str(exc.reason), headers=exc.headers, data=exc.body or b"")
        return Answer(
            status=response.status, reason=str(response.reason), headers=response.headers, data=_read(response, deadline)
        )

    def _unreachable(self, url: str, error: urllib3.exceptions.HTTPError) -> TemporaryError:
        if isinstance(error, urllib3.exceptions.ReadTimeoutError):
            return TemporaryError(f"{_host(url)} does not answer within {self._timeout_s:g} s")
        return TemporaryError(f"cannot reach Kubeflow Pipelines at {_host(url)}: {error}")


def _read(response: Any, deadline: float) -> bytes:  # noqa: ANN401 - urllib3's, by way of an untyped library
    """The body; the time-out of the socket alone would let it trickle for ever."""
    chunks = []
    while chunk := response.read1(_CHUNK_BYTES):
        chunks.append(chunk)
        if time.monotonic() > deadline:
            response.close()
            msg = (
                "an answer of Kubeflow Pipelines did not end in time; raise orchestrator.request_timeout_s if the network is slow"
            )
            raise TemporaryError(msg)
    return b"".join(chunks)


def _turned_away(answer: Answer) -> bool:
    """401, a redirect to a login page, that page itself, or a gateway's 403; a 403 in JSON is the API server's own decision."""
    if answer.status == HTTPStatus.UNAUTHORIZED or answer.status in _REDIRECTS:
        return True
    if answer.status == HTTPStatus.FORBIDDEN:
        return answer.document() is None
    return answer.is_success and answer.headers.get("Content-Type", "").startswith("text/html")


def _checked(what: str, answer: Answer) -> Answer:
    """A successful answer of the API server; the rest becomes an error with the server's own words."""
    document = answer.document()
    if answer.is_success and document is not None:
        # the generated client would believe a header about the encoding, and fail with whatever a codec raises
        return replace(answer, headers={"content-type": "application/json"}, data=json.dumps(document).encode())
    msg = f"{what} of Kubeflow Pipelines failed: {_told(answer)}"
    if answer.status in _TEMPORARY:
        asked = retry_after_s(answer.headers.get("Retry-After", ""), date=answer.headers.get("Date", ""))
        raise TemporaryError(msg, retry_after_s=asked)
    if document is None:  # what a proxy says, says nothing about a run
        msg += "; that was not the API server, is orchestrator.host right?"
        raise TemporaryError(msg)
    raise Refused(msg, status=answer.status)


def _told(answer: Answer) -> str:
    """Status, and the message of the API server's error body, a proxy's, or where a gateway sends us, on one line."""
    document = answer.document() or {}
    text = str(next((document[key] for key in _MESSAGE_KEYS if document.get(key)), ""))
    if not text and answer.status in _REDIRECTS:
        text = f"redirected to {_path(answer.headers.get('Location', ''))}"
    if not text and answer.is_success:
        text = "something that is no JSON object"
    if not text and answer.headers.get("Content-Type", "").startswith("text/plain"):
        text = answer.data.decode("utf-8", "replace")
    line = plain(" ".join((text or answer.reason or "").split()))
    return f"{answer.status} {line[:_MESSAGE_MAX]}".rstrip()


def _path(location: str) -> str:
    """Of a URL without what may be secret in it; empty when it is none."""
    try:
        return urlsplit(location).path
    except ValueError:
        return ""


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
