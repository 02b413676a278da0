"""The notification configurations of buckets, which the fake GCS server does not know: a proxy in front of it that does."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.emulators.processes import HOST

_TIMEOUT_S = 240.0
_HOP_BY_HOP = frozenset({"connection", "transfer-encoding", "content-length", "host"})


@dataclass
class NotificationConfigs:
    """A bucket service that answers `GET /storage/v1/b/<bucket>/notificationConfigs` itself and passes everything else on.

    Attributes:
        upstream: URL of the service behind it.
        configs: By bucket, as the service's JSON has them.
        refusal: The status it answers this route with, when it is not 200.
    """

    upstream: str
    configs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    refusal: int = 0
    url: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """What points the real client here."""
        return {"STORAGE_EMULATOR_HOST": self.url}

    def add(self, bucket: str, topic: str, **changes: object) -> None:
        """Configure a bucket to notify a topic, by its full name, of new objects."""
        kept = self.configs.setdefault(bucket, [])
        config = {"id": str(len(kept) + 1), "topic": f"//pubsub.googleapis.com/{topic}", "payload_format": "JSON_API_V1"}
        kept.append({**config, "event_types": ["OBJECT_FINALIZE"], "kind": "storage#notification", **changes})

    def answer(self, path: str) -> tuple[int, dict[str, Any]] | None:
        """Status and body for a path, None when the service behind has to answer."""
        parts = urlsplit(path).path.strip("/").split("/")
        if len(parts) != 5 or parts[:3] != ["storage", "v1", "b"] or parts[4] != "notificationConfigs":
            return None
        if self.refusal:
            return self.refusal, {"error": {"code": self.refusal, "message": "as the test wants it"}}
        return 200, {"kind": "storage#notifications", "items": self.configs.get(parts[3], [])}

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Answer as long as the context lasts."""
        with ThreadingHTTPServer((HOST, 0), _handler(self)) as server:
            self.url = f"http://{HOST}:{server.server_address[1]}"
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            try:
                yield
            finally:
                server.shutdown()
                thread.join()


def _handler(service: NotificationConfigs) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = service.answer(self.path) if self.command == "GET" else None
            if answer is None:
                self._pass_on(body)
                return
            self._send(answer[0], {"Content-Type": "application/json"}, json.dumps(answer[1]).encode())

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _respond  # noqa: N815 - the base class's names

        def _pass_on(self, body: bytes) -> None:
            connection = HTTPConnection(urlsplit(service.upstream).netloc, timeout=_TIMEOUT_S)
            try:
                headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
                self._send(answer.status, _kept(answer), answer.read())
            finally:
                connection.close()

        def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    return Handler


def _kept(answer: HTTPResponse) -> dict[str, str]:
    return {name: value for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP | {"date", "server"}}
