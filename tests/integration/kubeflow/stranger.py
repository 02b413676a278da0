"""A web server that is none of Kubeflow's, for answers that the real one would not give."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Response = tuple[int, str, bytes]


@contextmanager
def answering(
    pages: dict[str, Response | Callable[[], Response]], *, headers: Callable[[], Mapping[str, str]] = dict
) -> Iterator[str]:
    """A server that is none of Kubeflow's; its URL.

    Args:
        pages: Status, type and body by the end of the path.
        headers: Further ones, asked for at every request.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            page = next(page for end, page in pages.items() if self.path.partition("?")[0].endswith(end))
            status, kind, body = page() if callable(page) else page
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers().items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - as the base class wants it

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - as the base class
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
