"""How `kfp.local` starts a step here: by a fork of the server that the run was forked from, instead of a new interpreter."""

import os
import signal
import socket
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from trainer_daemon.adapters.local.fork_server import ask_to_fork, read_code
from trainer_daemon.adapters.local.step_request import StepRequest

_SHELL = ["sh", "-ec"]
_SCRIPT_START = "program_path=$(mktemp -d)"


class ForkedSteps:
    """Stands in for `kfp.local.subprocess_task_handler.run_local_subprocess`.

    Args:
        channel: To the server.
        mark: File that each step has open from its beginning; made when missing.
    """

    def __init__(self, channel: socket.socket, mark: Path) -> None:
        self._channel = channel
        self._mark = os.open(mark, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def install(self) -> None:
        """Have `kfp.local` start the steps of this process this way.

        Commands of another form are left to it, and all when the server is no more.
        """
        from kfp.local import subprocess_task_handler

        original = subprocess_task_handler.run_local_subprocess

        def run(full_command: list[str], env_vars: Mapping[str, str] | None = None) -> int:
            if is_component(full_command):
                with suppress(ConnectionError):
                    return self.run(full_command[3], full_command[4:], environment=env_vars or {})
            return int(original(full_command, env_vars))

        subprocess_task_handler.run_local_subprocess = run

    def run(self, source: str, arguments: Sequence[str], *, environment: Mapping[str, str]) -> int:
        """Execute a step, and print what it prints.

        Args:
            source: Python text of the component.
            arguments: Of KFP's executor.
            environment: Of the step, besides this process's own.

        Returns:
            The exit code; 128 and the signal's number when a signal ended the step.

        Raises:
            ConnectionError: The server is no more, and has not begun the step.
        """
        with tempfile.TemporaryDirectory(prefix="step-") as folder:
            component, request = Path(folder) / "ephemeral_component.py", Path(folder) / "request.json"
            component.write_text(source, encoding="utf-8")
            StepRequest(
                source=str(component),
                arguments=arguments,
                environment={**os.environ, "_KFP_RUNTIME": "true", **environment},
                folder=str(Path.cwd()),
            ).write(request)
            code = self._run(request)
        if code < 0:  # what a shell says and makes of it
            print(signal.strsignal(-code))  # noqa: T201 - it is part of the log
            return 128 - code
        return code

    def _run(self, request: Path) -> int:
        printed, output = os.pipe()
        with open(printed, encoding="utf-8", errors="backslashreplace") as lines:  # noqa: PTH123 - a pipe
            try:
                told = ask_to_fork(self._channel, os.fsencode(request), output, self._mark)
            finally:
                os.close(output)
            for line in lines:
                print(line, end="")  # noqa: T201 - what a step prints is the run's log
        code = read_code(told)
        print()  # noqa: T201 - sets the end of a step apart
        return -signal.SIGKILL if code is None else code


def is_component(full_command: Sequence[str]) -> bool:
    """Whether a command is that of a lightweight component that installs nothing.

    Args:
        full_command: As kfp compiles it: a shell's, with the component's source as `$0` and the arguments of KFP's executor.
    """
    return full_command[:2] == _SHELL and full_command[2].startswith(_SCRIPT_START) and full_command[4:5] == ["--executor_input"]
