"""Starts the child of each run: forked from a server that waits a while for the next one, so that imports are paid for once."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress

from trainer_daemon.adapters.local.fork_server import BEGINS, FORKS, a_channel, ask_to_fork, tell
from trainer_daemon.adapters.local.run_folder import RunFolder
from trainer_daemon.errors import TemporaryError

_RUN_SERVER = "trainer_daemon.adapters.local.run_server"
_THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_END_S_MAX = 1.0
_KILLED = (0, -signal.SIGKILL, -signal.SIGTERM)


class RunServer:
    """The process, as those who have runs executed see it.

    Args:
        environment: Of the process, of runs and of steps.
        entry_point: Its module.
    """

    def __init__(self, environment: Mapping[str, str], entry_point: str) -> None:
        self._channel, theirs = a_channel()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", entry_point],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                env=environment,
            )

    def start(self, folder: RunFolder, lock: int) -> int:
        """Have a run executed, as `Standby.start`; raises OSError when the process is no more."""
        return ask_to_fork(self._channel, os.fsencode(folder.path), lock)

    def close(self) -> None:
        """There are no more runs: it ends when the last one has ended."""
        self._channel.close()
        try:
            self.process.wait(_END_S_MAX)
        except subprocess.TimeoutExpired:
            threading.Thread(target=self.process.wait, name="wait-run-server", daemon=True).start()


class Standby:
    """Keeps one server, and none once nothing was to do for a while.

    Args:
        environment: Of the children.
        idle_s: The server is let go after so long without work.
        is_busy: Whether a run is being executed; then the next one may well follow, and the server stays.
        entry_point: Of the server.
        forks: Whether there is a server at all; otherwise each child is a new interpreter.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        idle_s: float,
        is_busy: Callable[[], bool],
        entry_point: str = _RUN_SERVER,
        forks: bool = FORKS,
    ) -> None:
        self._environment = child_environment(environment)
        self._idle_s = idle_s
        self._is_busy = is_busy
        self._entry_point = entry_point
        self._forks = forks
        self._lock = threading.Lock()
        self._server: RunServer | None = None
        self._timer: threading.Timer | None = None

    def start(self, folder: RunFolder, lock: int) -> int:
        """Start the child that executes a run.

        Args:
            folder: Of the run, which was prepared.
            lock: Descriptor that holds the run's lock; the caller's own may be closed afterwards.

        Returns:
            Descriptor for `read_code`.

        Raises:
            OSError: There can be no further process.
            TemporaryError: The server ends at once.
        """
        if not self._forks:
            return _spawn(folder, lock, self._environment)
        with self._lock:
            for _ in range(2):  # the server may have been killed while it waited; a new one has not
                server = self._open()
                try:
                    code = server.start(folder, lock)
                except ConnectionError:
                    self._let_go()
                else:
                    self._arm()
                    return code
        msg = "the process that runs are forked from ends at once; `trainer-daemon doctor` says what it lacks"
        raise TemporaryError(msg)

    def rest(self) -> None:
        """A run has ended: the next one is waited for from now on."""
        with self._lock:
            if self._server is not None:
                self._arm()

    def death(self) -> int | None:
        """Exit code of a server that ended though nobody wanted it to; None when it is alive, was let go or was killed."""
        with self._lock:
            if self._server is None:
                return None
            with suppress(subprocess.TimeoutExpired):
                code = self._server.process.wait(_END_S_MAX)
                return None if code in _KILLED else code
            return None

    def kill(self) -> None:
        """End a server that hangs, and with it what it was asked for and has not begun; what it has forked goes on."""
        with self._lock:
            if self._server is not None:
                self._server.process.kill()
            self._let_go()

    def warm(self) -> None:
        """See to it that the server is there."""
        with self._lock:
            if self._forks:
                self._open()

    def close(self) -> None:
        """Let the server go."""
        with self._lock:
            self._let_go()

    def _open(self) -> RunServer:
        if self._server is None:
            self._server = RunServer(self._environment, self._entry_point)
            self._arm()
        return self._server

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(self._idle_s, self._expire)
        self._timer.daemon = True
        self._timer.start()

    def _expire(self) -> None:
        with self._lock:
            if threading.current_thread() is not self._timer:
                return
            if self._is_busy():
                self._arm()
            else:
                self._let_go()

    def _let_go(self) -> None:
        server, self._server = self._server, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if server is not None:
            server.close()


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What children get: lines as they are printed, and threads for half of the cores, so that the machine stays usable."""
    threads = str(max(1, (os.cpu_count() or 1) // 2))
    return dict.fromkeys(_THREAD_LIMITS, threads) | dict(environment) | {"PYTHONUNBUFFERED": "1"}


def _spawn(folder: RunFolder, lock: int, environment: Mapping[str, str]) -> int:
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer_daemon.adapters.local.runner", folder.path, str(lock)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[lock],
        start_new_session=True,
        env=environment,
    )
    code, told = os.pipe()
    tell(told, BEGINS)
    threading.Thread(target=_tell_end, args=(process, told), name=f"wait-{folder.name}", daemon=True).start()
    return code


def _tell_end(process: "subprocess.Popen[bytes]", told: int) -> None:
    tell(told, process.wait())
    os.close(told)
