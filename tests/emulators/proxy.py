"""A TCP proxy on a loopback port that can stop to forward without a word, as a network does that swallows packets."""

import socket
import threading
from contextlib import suppress

from tests.emulators.processes import HOST


class Proxy:
    """Forwards to one port; what comes while it is cut is held, and delivered when it is mended.

    Args:
        port: Of the server, on this machine.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._whole = threading.Event()
        self._whole.set()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Nothing comes through from now on; nobody is told."""
        self._whole.clear()

    def mend(self) -> None:
        """Everything comes through again, also what was held."""
        self._whole.set()

    def close(self) -> None:
        """End every connection."""
        self.mend()
        for one in [self._listener, *self._sockets]:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection((HOST, self._target))
                self._sockets += [client, server]
                for here, there in ((client, server), (server, client)):
                    threading.Thread(target=self._forward, args=(here, there), daemon=True).start()

    def _forward(self, here: socket.socket, there: socket.socket) -> None:
        with suppress(OSError):
            while data := here.recv(65536):
                self._whole.wait()
                there.sendall(data)
            self._whole.wait()
            there.shutdown(socket.SHUT_WR)
