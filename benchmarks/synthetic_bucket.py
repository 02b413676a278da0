"""A storage service that lists any number of objects without holding one: a bucket that would take hours to fill."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit


@contextmanager
def synthetic_bucket(objects: int) -> Iterator[str]:
    """Serve a bucket of so many monthly drops, in the order of their names; yields the service's URL."""

    class Pages(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = parse_qs(urlsplit(self.path).query)
            start, size = int(asked.get("pageToken", ["0"])[0]), int(asked.get("maxResults", ["1000"])[0])
            end = min(start + size, objects)
            page = {"items": [_resource(number) for number in range(start, end)]}
            body = json.dumps(page | ({"nextPageToken": str(end)} if end < objects else {})).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def _resource(number: int) -> dict[str, str]:
    return {
        "name": f"churn_data_{number // 12:04}_{number % 12 + 1:02}.csv",
        "generation": str(1_700_000_000_000_000 + number),
        "crc32c": "AAAAAA==",
        "size": "1",
        "timeCreated": "2026-01-01T00:00:00Z",
    }
