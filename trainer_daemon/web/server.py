"""A server on a thread of its own; its libraries are imported there, so that the daemon does not start later for them."""

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trainer_daemon.errors import PermanentError

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from uvicorn import Server

CONNECTIONS_MAX = 64
KEEP_ALIVE_S = 5
DRAIN_S = 1


@contextmanager
def served(listen: str, make_app: Callable[[], "Starlette"]) -> Iterator[None]:
    """Answer HTTP requests meanwhile. Connections are taken at once, and answered as soon as there is something to answer them.

    Args:
        listen: `<address>:<port>`, or '' for not at all.
        make_app: Makes the application; called, and free to import what it needs, on the server's thread.

    Raises:
        PermanentError: The address cannot be used.
    """
    if not listen:
        yield
        return
    with _bound(listen) as bound:
        server = _Serving(bound, make_app)
        server.start()
        try:
            yield
        finally:
            server.stop()


def _bound(listen: str) -> socket.socket:
    address, _, port = listen.rpartition(":")
    address = address.strip("[]")
    try:
        return socket.create_server(
            (address, int(port)), family=socket.AF_INET6 if ":" in address else socket.AF_INET, backlog=CONNECTIONS_MAX
        )
    except OSError as exc:
        msg = f'http.listen is "{listen}", which cannot be used: {exc.strerror}; choose another address or end who uses it'
        raise PermanentError(msg) from exc


class _Serving:
    def __init__(self, bound: socket.socket, make_app: Callable[[], "Starlette"]) -> None:
        self._bound = bound
        self._make_app = make_app
        self._lock = threading.Lock()
        self._server: Server | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Also when the thread is still importing."""
        with self._lock:
            self._stopping = True
            if self._server is not None:
                self._server.should_exit = True
        self._thread.join(DRAIN_S + 1.0)

    def _run(self) -> None:
        server = self._made()
        with self._lock:
            if self._stopping:
                return
            self._server = server
        server.run(sockets=[self._bound])

    def _made(self) -> "Server":
        import uvicorn

        # what strangers send is no warning of ours
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        config = uvicorn.Config(
            self._make_app(),
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=CONNECTIONS_MAX,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=DRAIN_S,
        )
        return uvicorn.Server(config)
