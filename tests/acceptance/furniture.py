"""What a first start leaves in a workspace and every later one finds: made once, so that each test's daemon need not make it.

The compiled pipelines and MLflow's empty database cost as much as a small training. That a daemon makes them itself is what
`test_demo.py`, `test_registry_worker.py` and `test_compiled.py` show.
"""

import fcntl
import subprocess
import sys
from pathlib import Path

from trainer_daemon.adapters.compiled import compile_pipelines

_DATABASE = "import sys; from trainer_daemon.adapters.registry.operations import Operations; Operations(sys.argv[1])"


def furnish(folder: Path) -> Path:
    """Make it, unless another process of the same test run has.

    Args:
        folder: Shared by the processes of a test run.

    Returns:
        What to copy to a workspace's `var`.
    """
    made = folder / "var"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.is_dir():
            scratch = folder / "scratch"
            compile_pipelines(scratch / "pipelines")
            subprocess.run([sys.executable, "-c", _DATABASE, f"sqlite:///{scratch}/mlflow.db"], check=True, timeout=600)
            scratch.rename(made)
    return made
