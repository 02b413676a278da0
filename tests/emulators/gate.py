"""A gate in front of a server that speaks HTTP/1.1: it lets everything pass, until a request comes at which it is to fall."""

import socket
import threading
from contextlib import closing, suppress
from typing import Literal

from tests.emulators.processes import HOST, free_port

_CHUNK = 65536
Fault = Literal["cut", "lose reply"]


class Gate:
    """Listens on an address of its own; use as `start` … `close`.

    Args:
        port: Of the server behind it.
    """

    def __init__(self, port: int) -> None:
        self._behind = port
        self.port = free_port()
        self.uri = f"http://{HOST}:{self.port}"
        self.down = threading.Event()
        self._lock = threading.Lock()
        self._fall: tuple[bytes, Fault] | None = None
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()

    def start(self) -> None:
        """Let everything pass, also after it fell."""
        listener = socket.create_server((HOST, self.port))
        self.down.clear()
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def fall_at(self, request: bytes, fault: Fault) -> None:
        """Go down, with every connection, at the first request with these bytes: before it passes, or before its reply does."""
        self._fall = (request, fault)

    def close(self) -> None:
        """Be down."""
        with self._lock:
            self.down.set()
            if self._listener is not None:
                self._listener.shutdown(socket.SHUT_RDWR)
                self._listener.close()
                self._listener = None
            for end in self._open:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
                server = socket.create_connection((HOST, self._behind))
            except OSError:
                return
            with self._lock:
                if self._listener is not listener:  # it fell meanwhile
                    client.close()
                    server.close()
                    return
                self._open |= {client, server}
            threading.Thread(target=self._carry, args=(client, server), daemon=True).start()

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        is_lost = threading.Event()
        threading.Thread(target=self._carry_back, args=(server, client, is_lost), daemon=True).start()
        with closing(client), closing(server), suppress(OSError):
            while chunk := client.recv(_CHUNK):
                fall = self._fall
                if fall is not None and fall[0] in chunk:
                    self._fall = None
                    if fall[1] == "cut":
                        self.close()
                        return
                    is_lost.set()
                server.sendall(chunk)

    def _carry_back(self, server: socket.socket, client: socket.socket, is_lost: threading.Event) -> None:
        with suppress(OSError):
            while chunk := server.recv(_CHUNK):
                if is_lost.is_set():
                    self.close()
                    return
                client.sendall(chunk)
