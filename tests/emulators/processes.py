"""Servers as child processes: started on a free port, killed, started again at the same address, always ended."""

import os
import random
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.acceptance.harness import wait_until

HOST = "127.0.0.1"
_ROOT = Path(__file__).resolve().parents[2]
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
# below the ports of outgoing connections: one of those could take the port of a server that is down for a moment;
# none is another worker's, which would start a server on it at the same time
_PORTS = range(15_000 + _WORKER % 16, 32_000, 16)
_given: set[int] = set()
_START_S, _STOP_S, _REAP_S = 240.0, 5.0, 240.0


def free_port() -> int:
    """A port that nobody listens on, and that is given to nobody else by this process and those beside it."""
    while True:
        port = random.choice(_PORTS)
        if port in _given:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        _given.add(port)
        return port


def free_address() -> str:
    """Host and such a port."""
    return f"{HOST}:{free_port()}"


class ServerProcess:
    """One server at one address, through any number of restarts.

    Args:
        command: What is run, from the repository's root.
        port: Where it listens.
        log: The file that gets what it writes.
        environment: Variables on top of this process's own.
    """

    def __init__(self, command: Sequence[str | Path], *, port: int, log: Path, environment: Mapping[str, str]) -> None:
        self._command = list(command)
        self._port = port
        self._log = log
        self._environment = environment
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                self._command,
                cwd=_ROOT,
                env=os.environ | self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            wait_until(self._accepts, f"{self._command[0]} listens on port {self._port}", _START_S)
        except AssertionError:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        assert self._child is not None
        return self._child.pid

    def kill(self) -> None:
        """SIGKILL, as a machine that dies."""
        self._end(signal.SIGKILL, _REAP_S)

    def interrupt(self) -> None:
        """End it by SIGINT, as one that waits for its clients at SIGTERM; by force when it takes longer than a few seconds."""
        self._stop(signal.SIGINT)

    def stop(self) -> None:
        """End it; by force when it takes longer than a few seconds."""
        self._stop(signal.SIGTERM)

    def _stop(self, number: signal.Signals) -> None:
        try:
            self._end(number, _STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def _end(self, number: signal.Signals, within_s: float) -> None:
        if self._child is not None:
            self._child.send_signal(number)
            self._child.wait(within_s)
            self._child = None

    def _accepts(self) -> bool:
        assert self._child is not None
        code = self._child.poll()
        assert code is None, f"{self._command[0]} ended with {code}:\n{self._log.read_text()[-2000:]}"
        try:
            socket.create_connection((HOST, self._port), timeout=10.0).close()
        except OSError:
            return False
        return True
