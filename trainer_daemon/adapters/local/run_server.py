"""Forks the processes that execute runs from one that has imported kfp and the libraries of their steps.

`python -m trainer_daemon.adapters.local.run_server` is its entry point; the channel is its standard input. It ends when the other
end is closed or gone; what it has forked goes on.
"""

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pipelines.preloading import preload, steps_to_import
from trainer_daemon.adapters.local import runner
from trainer_daemon.adapters.local.fork_server import ForkServer
from trainer_daemon.adapters.local.run_folder import RunFolder


def serve(lead: Callable[[RunFolder, int], None]) -> None:
    """Fork a process for each run until there are no more, or the other end is closed.

    Args:
        lead: Executes the run in this folder, whose lock this descriptor holds.
    """
    with suppress(Exception):  # each run tries again and tells it in its result, where a person looks
        runner.import_kfp()
    with socket.socket(fileno=_moved_from_standard_input()) as channel:
        server = ForkServer(channel)
        run = server.until_forked(_Preloading(server).before_run)
    if run is None:
        return
    os.setsid()
    lead(RunFolder(Path(os.fsdecode(run.message))), run.descriptor)
    os._exit(0)  # taking the interpreter apart costs half a second with so many modules


def _moved_from_standard_input() -> int:
    """The channel's descriptor: what is forked must not keep the channel open, or it would take messages that nobody reads."""
    channel = os.dup(0)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    return channel


class _Preloading:
    """Imports what the steps of a pipeline need before its first run."""

    def __init__(self, server: ForkServer) -> None:
        self._server = server
        self._seen: set[str] = set()

    def before_run(self, message: bytes) -> None:
        folder = RunFolder(Path(os.fsdecode(message)))
        compiled = folder.compiled()
        if compiled in self._seen:
            return
        self._seen.add(compiled)
        for step in steps_to_import(compiled)[:1]:  # it takes seconds, and whoever waits for its first line should have that now
            _append(folder.log, f"{step}: importing libraries …\n")
        for _module in preload(compiled):
            self._server.tell_ends()


def _append(log: Path, line: str) -> None:
    with suppress(OSError), log.open("a", encoding="utf-8") as file:  # without it the run is the same
        file.write(line)


if __name__ == "__main__":
    serve(runner.lead)
