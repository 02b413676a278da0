"""The worker process as its parent sees it: started by the first call, gone when idle, ended when a call exceeds its deadline."""

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from trainer_daemon.adapters.registry.protocol import IDLE_EXIT
from trainer_daemon.errors import PermanentError, RolledBackError, TemporaryError
from trainer_daemon.telemetry.redaction import redacted

START_TIMEOUT_S = 180.0
"""Importing MLflow and creating the tables of a fresh SQLite file, on a machine so busy that it takes a minute."""
_MODULE = "trainer_daemon.adapters.registry.worker"
_READ_BYTES = 65536
_TAIL_LINES = 20
_HTTP_RETRIES = 2
_END_TIMEOUT_S = 5.0


class WorkerEndedError(Exception):
    """The process is gone, or closed the pipe.

    Args:
        idle: It went by itself and has begun nothing that it was asked for.
    """

    def __init__(self, message: str, *, idle: bool) -> None:
        super().__init__(message)
        self.idle = idle


class Worker:
    """Calls operations in the worker, one at a time, each with a deadline.

    Args:
        tracking_uri: Where MLflow is.
        call_timeout_s: A call that takes longer is given up, and the process with it; starting the process comes on top.
        idle_s: The process ends after so long without a call.
    """

    def __init__(self, *, tracking_uri: str, call_timeout_s: float, idle_s: float) -> None:
        self._hello = {"tracking_uri": tracking_uri, "environment": _environment(call_timeout_s)}
        self._call_timeout_s = call_timeout_s
        self._idle_s = idle_s
        self._lock = threading.Lock()
        self._process: _Process | None = None
        self._closed = False

    def rest(self) -> None:
        """End the process unless a call is under way; the next call starts another one."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            self._drop()
        finally:
            self._lock.release()

    def call(self, operation: str, **arguments: object) -> dict[str, Any]:
        """The result of an operation.

        Raises:
            TemporaryError: No answer in time, the process ended, or MLflow cannot be reached at the moment.
            PermanentError: MLflow refuses.
        """
        if not self._lock.acquire(timeout=START_TIMEOUT_S + self._call_timeout_s):
            msg = f"mlflow {operation}: other calls took all the time"
            raise TemporaryError(msg)
        try:
            return self._call(operation, arguments)
        finally:
            self._lock.release()

    def _call(self, operation: str, arguments: Mapping[str, object]) -> dict[str, Any]:
        try:
            return self._attempt(operation, arguments)
        except WorkerEndedError as exc:
            if not exc.idle:
                raise _failed(operation, exc) from None
        try:
            return self._attempt(operation, arguments)  # the first one left just then, without beginning the call
        except WorkerEndedError as exc:
            raise _failed(operation, exc) from None

    def _attempt(self, operation: str, arguments: Mapping[str, object]) -> dict[str, Any]:
        process = self._started()
        try:
            if not process.greeted:
                _result(process.receive(START_TIMEOUT_S))
                process.greeted = True
            process.send({"operation": operation, "arguments": arguments})
            reply = process.receive(self._call_timeout_s)
        except TimeoutError as exc:
            self._drop()
            raise _failed(operation, exc) from None
        except (WorkerEndedError, TemporaryError, PermanentError):
            self._drop()
            raise
        return _result(reply)

    def _started(self) -> "_Process":
        if self._closed:
            msg = "the registry is closed"
            raise TemporaryError(msg)
        if self._process is None or self._process.ended:
            self._drop()
            self._process = _Process(self._idle_s)
            with suppress(WorkerEndedError):  # the next look at the process finds out
                self._process.send({"operation": "connect", "arguments": self._hello})
        return self._process

    def _drop(self) -> None:
        if self._process is not None:
            self._process.release()
            self._process = None

    def close(self) -> None:
        """End the process, also when a call is under way."""
        self._closed = True
        if process := self._process:
            process.kill()
        if self._lock.acquire(timeout=_END_TIMEOUT_S):
            self._drop()
            self._lock.release()


class _Process:
    """One process, two pipes for requests and replies, and the last lines of everything else it says."""

    def __init__(self, idle_s: float) -> None:
        self.greeted = False
        self._rest = b""
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        theirs_in, self._requests = os.pipe()
        self._replies, theirs_out = os.pipe()
        try:
            self._process = _spawn(theirs_in, theirs_out, idle_s)
        except OSError as exc:
            self._close_pipes()
            msg = f"the MLflow worker could not be started: {exc}"
            raise TemporaryError(msg) from exc
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        self._drain = threading.Thread(target=self._keep_tail, name="mlflow-worker-output", daemon=True)
        self._drain.start()

    @property
    def ended(self) -> bool:
        """Its end of the pipe is closed; `Popen.poll` says None as long as another thread waits for the process."""
        pipe = select.poll()
        pipe.register(self._replies, 0)  # a hang-up is told without being asked for
        return bool(pipe.poll(0))

    def send(self, request: Mapping[str, object]) -> None:
        try:
            os.write(self._requests, (json.dumps(request) + "\n").encode())
        except BrokenPipeError:
            raise self._ended_error() from None

    def receive(self, timeout_s: float) -> dict[str, Any]:
        """The next reply.

        Raises:
            TimeoutError: None came in time.
            WorkerEndedError: None will come.
        """
        deadline = time.monotonic() + timeout_s
        poll = select.poll()
        poll.register(self._replies, select.POLLIN)
        while b"\n" not in self._rest:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not poll.poll(left_s * 1000):
                msg = f"no answer within {timeout_s:g} s"
                raise TimeoutError(msg)
            chunk = os.read(self._replies, _READ_BYTES)
            if not chunk:
                raise self._ended_error()
            self._rest += chunk
        line, self._rest = self._rest.split(b"\n", 1)
        reply: dict[str, Any] = json.loads(line)
        return reply

    def kill(self) -> None:
        """End it at once; every operation can be interrupted anywhere."""
        self._process.kill()

    def release(self) -> None:
        """End it and give back what it needed here; only for the thread that sends and receives."""
        self.kill()
        self._drain.join(_END_TIMEOUT_S)
        self._close_pipes()

    def _close_pipes(self) -> None:
        os.close(self._requests)
        os.close(self._replies)

    def _keep_tail(self) -> None:
        """Read what libraries print until the process ends, and take its exit code, so that no zombie stays."""
        output = self._process.stdout
        if output is None:
            return
        with output:
            for line in output:
                self._tail.append(line.decode(errors="replace").strip())
        self._process.wait()

    def _ended_error(self) -> WorkerEndedError:
        self._drain.join(_END_TIMEOUT_S)
        code = self._process.poll()
        said = next((line for line in reversed(self._tail) if line), "it said nothing")
        return WorkerEndedError(f"the MLflow worker ended with code {code}: {redacted(said)}", idle=code == IDLE_EXIT)


def _spawn(requests_fd: int, replies_fd: int, idle_s: float) -> "subprocess.Popen[bytes]":
    """Start the process, in a group of its own: Ctrl-C in a terminal ends the daemon, whose end ends it."""
    return subprocess.Popen(
        # -P: a file called mlflow.py in the working directory is not the library
        [sys.executable, "-P", "-m", _MODULE, str(requests_fd), str(replies_fd), str(idle_s)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(requests_fd, replies_fd),
        start_new_session=True,
    )


def _environment(call_timeout_s: float) -> dict[str, str]:
    """Defaults for MLflow's own knobs, such that its retries fit into a call; without them it tries for four minutes."""
    return {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(_HTTP_RETRIES),
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(max(1, int(call_timeout_s / (_HTTP_RETRIES + 1)))),
        "GIT_PYTHON_REFRESH": "quiet",
    }


def _failed(operation: str, exc: Exception) -> TemporaryError:
    return TemporaryError(f"mlflow {operation}: {exc}")


def _result(reply: Mapping[str, Any]) -> dict[str, Any]:
    if "temporary" in reply:
        raise TemporaryError(reply["temporary"])
    if "rolled_back" in reply:
        raise RolledBackError(reply["rolled_back"])
    if "permanent" in reply:
        raise PermanentError(reply["permanent"])
    return reply["result"] or {}
