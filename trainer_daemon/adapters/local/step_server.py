"""Forks the steps of one run from a process that has imported their libraries once.

`kfp.local` starts every step as a new interpreter, which spends most of a small run on importing scikit-learn and MLflow, four
times over. Here the runner forks a server before it has any thread, and for each step hands it the request and the pipe that the
step prints to; the server forks a process that executes the component as the new interpreter would have. While the first step
is at work, the server imports what the later ones need.

The server has no threads, so that nothing is forked in the middle of anything, and does not hold the run's lock. When the runner
is gone it ends, and its steps with it. It has the run's mark open, and so has every step: a file that nobody else opens.
"""

import atexit
import json
import logging
import os
import selectors
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pipelines.preloading import preload

_PATH_MAX_BYTES = 64 * 1024
_DONE = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRequest:
    """What a step is to execute.

    Attributes:
        pipeline: That it is a step of.
        source: Path of the component's Python text.
        arguments: Of KFP's executor.
        environment: Added to the server's own.
    """

    pipeline: str
    source: str
    arguments: Sequence[str]
    environment: Mapping[str, str]

    def write(self, path: Path) -> None:
        """Write it down as JSON."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "StepRequest":
        """What `write` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def execute(self, output: int) -> None:
        """Do in this process what `python3 -m kfp.dsl.executor_main` does in a new one; raises whatever the component raises.

        Args:
            output: Descriptor to print to.
        """
        for descriptor in (1, 2):
            os.dup2(output, descriptor)
        os.close(output)
        sys.stdout = sys.stderr = open(1, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115 - ends with the process
        os.environ.update(self.environment)
        logging.root.handlers.clear()
        sys.argv = ["executor_main.py", "--component_module_path", self.source, *self.arguments]
        from kfp.dsl.executor_main import executor_main

        executor_main()


class StepServer:
    """The forked process, as the runner sees it.

    Args:
        pid: Of the process.
        channel: Takes one message per step.
    """

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self._pid = pid
        self._channel = channel

    def start(self, request: Path, output: int) -> int:
        """Start a step.

        Args:
            request: A file that `StepRequest.write` wrote.
            output: Descriptor that the step prints to.

        Returns:
            Descriptor from which the step's exit code can be read, as text, once it has ended; nothing if the server died.

        Raises:
            OSError: The server is no more.
        """
        code, told = os.pipe()
        try:
            socket.send_fds(self._channel, [os.fsencode(request)], [output, told])
        except OSError:
            os.close(code)
            raise
        finally:
            os.close(told)
        return code

    def close(self) -> None:
        """End the server, and wait until it is gone."""
        self._channel.close()
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


def fork_server(mark: Path, *, not_for_steps: Sequence[int]) -> StepServer:
    """Fork the server from this process, which must have one thread only.

    Args:
        mark: The run's mark; made when missing.
        not_for_steps: Descriptors that neither the server nor a step may hold.

    Returns:
        The server; in the server itself and in its steps this call does not return.

    Raises:
        OSError: There can be no further process or file.
        SystemExit: In a step whose work is done. Nobody may catch it, nor what a component raises.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    held = os.open(mark, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    pid = os.fork()
    if pid:
        theirs.close()
        os.close(held)
        return StepServer(pid, ours)
    ours.close()
    for descriptor in not_for_steps:
        os.close(descriptor)
    step = _Serving(theirs).until_step()
    if step is None:
        os._exit(0)
    ending = _Ending()
    step.request.execute(step.output)
    ending.code = 0
    sys.exit()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Forked:
    """What a process that was just forked is to do."""

    request: StepRequest
    output: int


class _Ending:
    """Ends a step after its threads and what its libraries do at exit, but without taking the interpreter apart.

    Doing so costs almost half a second with so many modules, and the memory goes with the process anyway.
    """

    def __init__(self) -> None:
        self.code = 1
        atexit.register(self._leave)  # called after what is registered later, the libraries' own

    def _leave(self) -> None:
        logging.shutdown()
        sys.stdout.flush()
        os._exit(self.code)


class _Serving:
    """The server's loop: fork on request, tell how steps ended, import while there is nothing else to do.

    Args:
        channel: From the runner.
    """

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._steps: dict[int, int] = {}
        self._preloading: Iterator[object] | None = None
        self._has_begun = False
        self._ended, self._wake = os.pipe()
        for descriptor in (self._ended, self._wake):
            os.set_blocking(descriptor, False)
        signal.signal(signal.SIGCHLD, _woken)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)

    def until_step(self) -> _Forked | None:
        """Serve until the runner is gone; returns earlier in each step, which is a process of its own then."""
        with selectors.DefaultSelector() as events:
            events.register(self._channel, selectors.EVENT_READ)
            events.register(self._ended, selectors.EVENT_READ)
            while True:
                ready = {key.fd for key, _ in events.select(timeout=None if self._preloading is None else 0)}
                if self._ended in ready:
                    os.read(self._ended, 1024)
                    self._tell_ends()
                if self._channel.fileno() in ready:
                    message, descriptors, _, _ = socket.recv_fds(self._channel, _PATH_MAX_BYTES, 2)
                    if not message:
                        self._end_steps()
                        return None
                    if (forked := self._fork(Path(os.fsdecode(message)), *descriptors)) is not None:
                        return forked
                if self._preloading is not None and not ready and next(self._preloading, _DONE) is _DONE:
                    self._preloading = None

    def _fork(self, path: Path, output: int, told: int) -> _Forked | None:
        request = StepRequest.read(path)
        if not self._has_begun:
            self._begin(request)
        pid = os.fork()
        if not pid:
            self._become_step(told)
            return _Forked(request=request, output=output)
        os.close(output)
        self._steps[pid] = told
        return None

    def _begin(self, first: StepRequest) -> None:
        """Import what the first step needs, which would otherwise import it beside us; the rest while it is at work."""
        self._has_begun = True
        os.environ.update(first.environment)  # limits threads, which the libraries read when they are imported
        self._preloading = preload(first.pipeline)
        next(self._preloading, None)

    def _become_step(self, told: int) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for descriptor in (told, self._ended, self._wake, *self._steps.values()):
            os.close(descriptor)
        self._channel.close()

    def _tell_ends(self) -> None:
        for pid, told in tuple(self._steps.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self._steps[pid]
                with suppress(BrokenPipeError):
                    os.write(told, str(os.waitstatus_to_exitcode(status)).encode("ascii"))
                os.close(told)

    def _end_steps(self) -> None:
        for pid in self._steps:
            os.kill(pid, signal.SIGKILL)  # ours until we wait for it: the id cannot be another's


def _woken(_number: int, _frame: object) -> None:
    """A child ended: the wake-up descriptor says so; without a handler nobody would write to it."""
