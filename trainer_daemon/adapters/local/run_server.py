"""Forks the processes that execute runs, and those of their steps, from one that has imported kfp and the steps' libraries.

`python -m trainer_daemon.adapters.local.run_server` is its entry point; the channel is its standard input. It ends when the other
end is closed or gone and the last run has ended.
"""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from pipelines.preloading import preload
from trainer_daemon.adapters.local import runner
from trainer_daemon.adapters.local.fork_server import ForkServer
from trainer_daemon.adapters.local.run_folder import RunFolder
from trainer_daemon.adapters.local.step_request import StepRequest

Lead = Callable[[RunFolder, int, socket.socket], None]
"""Executes the run in a folder, whose lock the descriptor holds; its steps can be asked for through the channel."""


def serve(lead: Lead) -> None:
    """Fork a process for each run and each step until there are no more."""
    with suppress(Exception):  # each run tries again and tells it in its result, where a person looks
        runner.import_kfp()
    with socket.socket(fileno=_moved_from_standard_input()) as channel:
        forked = ForkServer(channel, _preload).until_forked()
    if forked is None:
        return
    os.setsid()
    asked, (descriptor, *_) = Path(os.fsdecode(forked.message)), forked.descriptors
    if forked.channel is None:
        StepRequest.read(asked).execute(output=descriptor, told=forked.told)
    else:
        lead(RunFolder(asked), descriptor, forked.channel)
    os._exit(0)  # taking the interpreter apart costs half a second with so many modules


def _moved_from_standard_input() -> int:
    """The channel's descriptor: what is forked must not keep the channel open, or it would take messages that nobody reads."""
    channel = os.dup(0)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    return channel


def _preload(message: bytes) -> Iterator[None]:
    """What the first step needs after the run has begun, what the next one needs while a step works."""
    return preload(RunFolder(Path(os.fsdecode(message))).compiled())


if __name__ == "__main__":
    serve(runner.lead)
