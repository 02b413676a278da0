"""Forks the steps of one run from a process that has their libraries already.

`kfp.local` starts every step as a new interpreter, which spends most of a small run on importing scikit-learn and MLflow, four
times over. Here the runner, itself forked with everything imported, forks a server before it has any thread, and for each step
hands it the request and the pipe that the step prints to; the server forks a process that executes the component as the new
interpreter would have.

The server does not hold the run's lock. When the runner is gone it ends, and its steps with it. It has the run's mark open, and
so has every step: a file that nobody else opens.
"""

import atexit
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from trainer_daemon.adapters.local.fork_server import ForkServer, a_channel, ask_to_fork


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRequest:
    """What a step is to execute.

    Attributes:
        source: Path of the component's Python text.
        arguments: Of KFP's executor.
        environment: Added to the server's own.
    """

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
            Descriptor for `read_code`.

        Raises:
            OSError: The server is no more.
        """
        return ask_to_fork(self._channel, os.fsencode(request), output)

    def close(self) -> None:
        """End the server, and wait until it is gone."""
        self._channel.close()
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


def fork_step_server(mark: Path, *, not_for_steps: Sequence[int]) -> StepServer:
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
    ours, theirs = a_channel()
    held = os.open(mark, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    pid = os.fork()
    if pid:
        theirs.close()
        os.close(held)
        return StepServer(pid, ours)
    ours.close()
    for descriptor in not_for_steps:
        os.close(descriptor)
    server = ForkServer(theirs)
    step = server.until_forked(lambda _request: None)
    if step is None:
        for child in server.children:
            os.kill(child, signal.SIGKILL)
        os._exit(0)
    ending = _Ending()
    StepRequest.read(Path(os.fsdecode(step.message))).execute(step.descriptor)
    ending.code = 0
    sys.exit()


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
