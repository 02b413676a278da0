"""The child process that holds MLflow: `python -m trainer_daemon.adapters.registry.worker REQUESTS REPLIES IDLE_S`.

Requests and replies are lines of JSON on two pipes of their own, so that nothing a library prints can get between them.
A thread does nothing but read requests: when the pipe ends, the daemon is gone and the process exits at once, even in
the middle of a call. Every operation can be interrupted anywhere and repeated.
"""

import gc
import json
import os
import queue
import sys
import threading
from collections.abc import Mapping
from typing import Any

from trainer_daemon.adapters.registry.protocol import IDLE_EXIT
from trainer_daemon.errors import PermanentError, RolledBackError, TemporaryError

_DISPENSABLE = ("numpy", "pandas", "pyarrow", "scipy")
"""What MLflow imports if it can, and does without as `mlflow-skinny`: a third of its time to start, and of its memory."""


def main(requests_fd: int, replies_fd: int, idle_s: float) -> None:
    """Answer requests until there are none for `idle_s` seconds, or the pipe ends."""
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests_fd, requests), daemon=True).start()
    connection = _Connection()
    with os.fdopen(replies_fd, "w", encoding="utf-8") as replies:
        while True:
            try:
                line = requests.get(timeout=idle_s)
            except queue.Empty:
                os._exit(IDLE_EXIT)  # without the clean-up of libraries that hold nothing worth it
            replies.write(json.dumps(connection.answer(json.loads(line))) + "\n")
            replies.flush()


def _read(requests_fd: int, requests: "queue.SimpleQueue[str]") -> None:
    with os.fdopen(requests_fd, encoding="utf-8") as lines:
        for line in lines:
            requests.put(line)
    os._exit(0)


class _Connection:
    """Answers requests; the first one says where MLflow is."""

    def __init__(self) -> None:
        self._operations: Any = None

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return {"result": self._perform(request["operation"], request["arguments"])}
        except TemporaryError as exc:
            return {"temporary": str(exc)}
        except RolledBackError as exc:
            return {"rolled_back": str(exc)}
        except PermanentError as exc:
            return {"permanent": str(exc)}

    def _perform(self, operation: str, arguments: Mapping[str, Any]) -> object:
        if operation == "connect":
            self._connect(**arguments)
            return None
        from trainer_daemon.adapters.registry.operations import translated

        with translated(operation):
            return getattr(self._operations, operation)(**arguments)

    def _connect(self, tracking_uri: str, environment: Mapping[str, str]) -> None:
        for name, value in environment.items():
            os.environ.setdefault(name, value)
        sys.modules.update(dict.fromkeys(_DISPENSABLE))  # type: ignore[arg-type]  # None: it cannot be imported
        gc.disable()  # while modules are made, there is nothing to collect, and looking takes a tenth of the time
        from trainer_daemon.adapters.registry.operations import Operations, translated

        with translated("connect"):
            self._operations = Operations(tracking_uri)
        gc.freeze()
        gc.enable()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
