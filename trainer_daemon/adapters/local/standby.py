"""The child that waits for the next run with kfp imported, so that a run starts without paying for the import."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress

from trainer_daemon.adapters.local.run_folder import RunFolder

_THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Runner:
    """One child process, which executes the one run it is handed.

    Args:
        environment: Of the child and of the steps it will start.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._channel, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "trainer_daemon.adapters.local.runner"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                env=environment,
            )

    def hand_over(self, folder: RunFolder, lock: int) -> None:
        """Give it the run and, with the descriptor, the lock; the caller's own may be closed afterwards.

        Raises:
            OSError: The child is no more.
        """
        with self._channel:
            socket.send_fds(self._channel, [os.fsencode(folder.path)], [lock])

    def dismiss(self) -> None:
        """There is no run for it: it ends."""
        self._channel.close()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=1)
            return
        self.process.kill()
        self.process.wait()


class Standby:
    """Keeps at most one runner waiting, and none once nothing was to do for a while.

    Args:
        environment: Of the children.
        idle_s: A waiting runner is let go after so long without work.
        is_busy: Whether a run is being executed; then the next one may well follow, and the waiting runner stays.
    """

    def __init__(self, environment: Mapping[str, str], *, idle_s: float, is_busy: Callable[[], bool]) -> None:
        self._environment = child_environment(environment)
        self._idle_s = idle_s
        self._is_busy = is_busy
        self._lock = threading.Lock()
        self._waiting: Runner | None = None
        self._timer: threading.Timer | None = None
        self._closed = False

    def take(self) -> Runner:
        """The waiting runner, which may have died while it waited, or a new one."""
        with self._lock:
            runner, self._waiting = self._waiting, None
        return runner or Runner(self._environment)

    def warm(self) -> None:
        """See to it that a runner waits."""
        with self._lock:
            if self._waiting is None and not self._closed:
                self._waiting = Runner(self._environment)
                self._arm()

    def close(self) -> None:
        """Let the waiting runner go, and have none any more."""
        with self._lock:
            self._closed = True
        self._let_go()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(self._idle_s, self._expire)
        self._timer.daemon = True
        self._timer.start()

    def _expire(self) -> None:
        if not self._is_busy():
            self._let_go()
            return
        with self._lock:
            if not self._closed:
                self._arm()

    def _let_go(self) -> None:
        with self._lock:
            runner, self._waiting = self._waiting, None
            if self._timer is not None:
                self._timer.cancel()
        if runner is not None:
            runner.dismiss()


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What children get: lines as they are printed, and threads for half of the cores, so that the machine stays usable."""
    threads = str(max(1, (os.cpu_count() or 1) // 2))
    return dict.fromkeys(_THREAD_LIMITS, threads) | dict(environment) | {"PYTHONUNBUFFERED": "1"}
