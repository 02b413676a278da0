"""Forks the processes that execute runs from one that has imported kfp, and the libraries of their steps, once.

`python -m trainer_daemon.adapters.local.run_server` is its entry point; the channel is its standard input. It ends when the other
end is closed or gone; what it has forked goes on.
"""

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pipelines.preloading import preload
from trainer_daemon.adapters.local import runner
from trainer_daemon.adapters.local.fork_server import ForkServer
from trainer_daemon.adapters.local.run_folder import RunFolder


def serve(lead: Callable[[RunFolder, int], None]) -> None:
    """Fork a process for each run until there are no more, or the other end is closed.

    Args:
        lead: Executes the run in this folder, whose lock this descriptor holds.
    """
    with suppress(ImportError):  # each run tries again and tells it in its result, where a person looks
        runner.import_kfp()
    with socket.socket(fileno=os.dup(0)) as channel:
        run = ForkServer(channel).until_forked(_preload)
    if run is None:
        return
    os.setsid()
    lead(RunFolder(Path(os.fsdecode(run.message))), run.descriptor)
    os._exit(0)  # taking the interpreter apart costs half a second with so many modules


def _preload(message: bytes) -> None:
    folder = RunFolder(Path(os.fsdecode(message)))
    with suppress(OSError, ValueError):  # the run itself will say so
        preload((folder.path / folder.work().compiled).read_text(encoding="utf-8"))


if __name__ == "__main__":
    serve(runner.lead)
