"""The run server with runs that tell what they found imported: `python -m tests.integration.local.spying_runs`."""

import json
import sys
from pathlib import Path

from trainer_daemon.adapters.local.run_folder import RunFolder
from trainer_daemon.adapters.local.run_server import serve

LIBRARIES = ("kfp", "pandas", "sklearn.ensemble", "mlflow.store.tracking.sqlalchemy_store")
TOLD = "told.json"
# jemalloc, which pyarrow brings along, makes its one ready for a fork and starts another one in the child
_OF_A_LIBRARY = "jemalloc_bg_thd\n"


def tell(folder: RunFolder, lock: int) -> None:  # noqa: ARG001 - what a run is given
    """Write down which libraries are there, and how many threads."""
    threads = [name.read_text() != _OF_A_LIBRARY for name in Path("/proc/self/task").glob("*/comm")]
    told = {"imported": [name in sys.modules for name in LIBRARIES], "threads": sum(threads)}
    (folder.path / TOLD).write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    serve(tell)
