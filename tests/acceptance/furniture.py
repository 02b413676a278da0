"""What a first start leaves in a workspace and every later one finds: made once, so that each test's daemon need not make it.

The compiled pipelines and MLflow's empty database cost as much as a small training. That a daemon makes them itself is what
`test_demo.py`, `test_registry_worker.py` and `test_compiled.py` show.
"""

import subprocess
import sys
from pathlib import Path

from trainer_daemon.adapters.compiled import compile_pipelines

_DATABASE = "import sys; from trainer_daemon.adapters.registry.operations import Operations; Operations(sys.argv[1])"


def furnish(folder: Path) -> None:
    """Make it.

    Args:
        folder: Exists; what to copy to a workspace's `var`.
    """
    compile_pipelines(folder / "pipelines")
    subprocess.run([sys.executable, "-c", _DATABASE, f"sqlite:///{folder}/mlflow.db"], check=True, timeout=600)
