"""The run server with runs that tell what they and their steps found imported; run as a module."""

import json
import socket
import sys
from pathlib import Path

from trainer_daemon.adapters.local.forked_steps import ForkedSteps
from trainer_daemon.adapters.local.run_folder import RunFolder
from trainer_daemon.adapters.local.run_server import serve

LIBRARIES = ("kfp", "pandas", "sklearn.ensemble", "mlflow.store.tracking.sqlalchemy_store")
TOLD = "told.jsonl"
STEPS = 3
# jemalloc, which pyarrow brings along, makes its one ready for a fork and starts another one in the child
_OF_A_LIBRARY = "jemalloc_bg_thd\n"
_SOURCE = "def component() -> None:\n    from tests.integration.local.spying_runs import tell\n    tell({path!r})\n"


def tell(path: str) -> None:
    """Add a line about this process to the file: which libraries are there, and how many threads."""
    threads = [name.read_text() != _OF_A_LIBRARY for name in Path("/proc/self/task").glob("*/comm")]
    told = {"imported": [name in sys.modules for name in LIBRARIES], "threads": sum(threads)}
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(json.dumps(told) + "\n")


def lead(folder: RunFolder, lock: int, channel: socket.socket) -> None:  # noqa: ARG001 - what a run is given
    """Tell, and have three steps tell, one after the other."""
    told = str(folder.path / TOLD)
    tell(told)
    steps = ForkedSteps(channel, folder.mark)
    arguments = ["--executor_input", json.dumps({"outputs": {"outputFile": told + ".out"}}), "--function_to_execute", "component"]
    for _ in range(STEPS):
        steps.run(_SOURCE.format(path=told), arguments, environment={})


if __name__ == "__main__":
    serve(lead)
