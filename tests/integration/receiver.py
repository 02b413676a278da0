"""A real server on loopback that is notified, and that misbehaves when it is told to."""

import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SECRET = "a secret of more than sixteen bytes"  # noqa: S105 - of tests
GUIDE = Path(__file__).resolve().parents[2] / "docs" / "notifications.md"
_HOST = "127.0.0.1"


def is_genuine() -> Callable[..., bool]:
    """The function that the documentation gives to receivers."""
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - our own documentation
    found: Callable[..., bool] = names["is_genuine"]
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A request, read completely."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def document(self) -> dict[str, Any]:
        """Its JSON."""
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def id(self) -> str:
        """Of the CloudEvent."""
        return str(self.document["id"])


Behaviour = Callable[[BaseHTTPRequestHandler], None]


def answer(status: int, text: str = "", **headers: str) -> Behaviour:
    """Answers so; underscores in the names of headers are hyphens."""

    def behave(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response_only(status)  # without a date of its own
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(text.encode())))
        handler.end_headers()
        handler.wfile.write(text.encode())

    return behave


def close_at_once(handler: BaseHTTPRequestHandler) -> None:
    """Closes the connection instead of answering."""
    handler.close_connection = True


@dataclass
class Receiver:
    """What was received, and what is answered next; when nothing is said, 204.

    Attributes:
        script: Taken from the front, one for each request.
        always: What every request gets that nothing in the script is for.
        released: Hanging requests end when it is set.
    """

    url: str = ""
    received: list[Received] = field(default_factory=list)
    script: list[Behaviour] = field(default_factory=list)
    always: Behaviour = field(default_factory=lambda: answer(204))
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def ids(self) -> list[str]:
        """Of everything that was received, repetitions included."""
        return [request.id for request in self.received]

    def hang(self, _handler: BaseHTTPRequestHandler) -> None:
        """Does not answer before it is released."""
        self.released.wait(900)

    def trickle_headers(self, handler: BaseHTTPRequestHandler) -> None:
        """Answers for ever, a byte at a time, so that no time-out of a socket ends it."""
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not self.released.wait(0.05):
            handler.wfile.write(b"x")
            handler.wfile.flush()

    def trickle_body(self, handler: BaseHTTPRequestHandler) -> None:
        """Takes the notification, and then tells a story."""
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        while not self.released.wait(0.05):
            handler.wfile.write(b"x")
            handler.wfile.flush()

    def take(self, handler: BaseHTTPRequestHandler) -> None:
        """Receive one request, and behave."""
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.received.append(Received(path=handler.path, headers=headers, body=body, at=time.monotonic()))
        (self.script.pop(0) if self.script else self.always)(handler)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever is notified hangs up now and then, as it should."""


@contextmanager
def receiving(port: int = 0, *, certificate: tuple[Path, Path] | None = None) -> Iterator[Receiver]:
    """Within it the server runs; over TLS with a certificate and its key."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            with suppress(ConnectionError):
                receiver.take(self)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = _Server((_HOST, port), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    receiver.url = f"{'https' if certificate else 'http'}://{_HOST}:{server.server_address[1]}/hook?token=hidden"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.released.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
