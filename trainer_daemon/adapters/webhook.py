"""One POST over HTTP, as it is: no redirect is followed, no proxy is asked, certificates are checked, and it ends in time."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import urlsplit

from trainer_daemon.errors import TemporaryError
from trainer_daemon.policy.redelivery import Reply
from trainer_daemon.policy.retry_after import retry_after_s
from trainer_daemon.telemetry.redaction import MASK

_TEXT_BYTES_MAX = 300


class Webhook:
    """An endpoint that takes POSTs, one at a time.

    Args:
        url: `http://` or `https://`; never part of an error, since it may hold a secret.
        timeout_s: For one POST, from connecting to the answer.
        ca_file: Certificates that the server's is checked against; empty for the usual ones.
    """

    def __init__(self, url: str, *, timeout_s: float, ca_file: str = "") -> None:
        self._url = urlsplit(url)
        self._timeout_s = timeout_s
        self._ca_file = ca_file
        self._line: socket.socket | None = None
        self._is_closed = False

    def post(self, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Send, and return what was answered.

        Raises:
            TemporaryError: There is no answer.
        """
        path = f"{self._url.path or '/'}{f'?{self._url.query}' if self._url.query else ''}"
        with self._connected() as connection:
            connection.request("POST", path, body, {**headers, "Connection": "close", "User-Agent": "trainer-daemon"})
            return _reply(connection.getresponse(), hidden=path)

    def knock(self) -> None:
        """Connect and hang up, to see whether it can be reached; raises TemporaryError."""
        with self._connected():
            return

    def close(self) -> None:
        """Break off what is under way, and begin nothing any more."""
        self._is_closed = True
        self._hang_up()

    @contextmanager
    def _connected(self) -> Iterator[HTTPConnection]:
        """Within it there is a connection, which is cut when time is up: with a time-out alone an answer may trickle for ever."""
        began, late = time.monotonic(), threading.Event()

        def cut() -> None:
            late.set()
            self._hang_up()

        try:
            with ExitStack() as stack:
                port = self._url.port or (443 if self._is_secure else 80)
                line = socket.create_connection((self._url.hostname or "", port), timeout=self._timeout_s)
                stack.callback(line.close)
                self._line = stack.enter_context(line.dup())  # the same connection, whatever is put around the other end
                timer = threading.Timer(max(0.0, began + self._timeout_s - time.monotonic()), cut)
                timer.daemon = True
                timer.start()
                stack.callback(timer.cancel)
                yield stack.enter_context(closing(self._on(line)))
                if late.is_set():
                    raise TimeoutError  # headers that were cut off look complete
        except (OSError, HTTPException) as exc:
            is_late = late.is_set() or isinstance(exc, TimeoutError)
            msg = f"it does not answer within {self._timeout_s:g} s" if is_late else f"it does not answer: {_told(exc)}"
            raise TemporaryError(msg) from exc

    def _on(self, line: socket.socket) -> HTTPConnection:
        """HTTP on a connection, with TLS where the URL says so."""
        if self._is_closed:
            msg = "the daemon stops"
            raise OSError(msg)
        if not self._is_secure:
            plain = HTTPConnection(self._url.hostname or "", self._url.port)
            plain.sock = line
            return plain
        context = ssl.create_default_context(cafile=self._ca_file or None)
        secure = HTTPSConnection(self._url.hostname or "", self._url.port, context=context)
        secure.sock = context.wrap_socket(line, server_hostname=self._url.hostname)
        return secure

    @property
    def _is_secure(self) -> bool:
        return self._url.scheme == "https"

    def _hang_up(self) -> None:
        line = self._line
        if line is not None:
            with suppress(OSError):  # it has ended already
                line.shutdown(socket.SHUT_RDWR)


def _reply(response: HTTPResponse, *, hidden: str) -> Reply:
    """Status and the beginning of the text; the rest is not waited for. Some servers repeat the path, which may be a secret."""
    with response:
        text = b"" if response.status // 100 == 2 else response.read1(_TEXT_BYTES_MAX)  # noqa: PLR2004 - who took it, need not say so
    return Reply(
        status=response.status,
        retry_after_s=retry_after_s(response.headers.get("Retry-After", ""), date=response.headers.get("Date", "")),
        text=" ".join(_masked(text.decode("utf-8", "replace"), hidden).split()),
    )


def _masked(text: str, hidden: str) -> str:
    """The text without the path, in part or as a whole, and without its query."""
    path, _, query = hidden.partition("?")
    for secret in (part for part in (hidden, path, query) if len(part) > 1):
        text = text.replace(secret, MASK)
    return text


def _told(error: Exception) -> str:
    """In one line; some errors say nothing but their name."""
    return " ".join(str(error).split()) or type(error).__name__
