"""A real MLflow server as a child process: killed with everything below it, started again at the same address."""

import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.acceptance.harness import wait_until
from tests.emulators.processes import HOST, free_port

_START_S, _STOP_S = 240.0, 240.0


class MlflowServer:
    """One server on SQLite, that keeps its state over restarts.

    Args:
        folder: Where database, artifacts and log are.
        database: A fresh one to begin with; making one takes long.
    """

    def __init__(self, folder: Path, database: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self.uri = f"http://{HOST}:{self.port}"
        shutil.copy(database, folder / "mlflow.db")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.launch()
        try:
            wait_until(self._answers, "the MLflow server answers", _START_S)
        except BaseException:
            self.kill()
            raise

    def launch(self) -> None:
        """Start it; when it answers is not waited for."""
        environment = {
            **os.environ,
            "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{self._folder}/mlflow.db",
            "_MLFLOW_SERVER_REGISTRY_STORE": f"sqlite:///{self._folder}/mlflow.db",
            "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
            "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(self._folder / "artifacts"),
            "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
            "_MLFLOW_SGI_NAME": "uvicorn",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        # what `mlflow server` becomes the parent of; the parent would import all of MLflow for itself
        command = [sys.executable, "-m", "uvicorn", "--host", HOST, "--port", str(self.port), "mlflow.server.fastapi_app:app"]
        with (self._folder / "mlflow.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self._folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def kill(self) -> None:
        """SIGKILL for it and whatever it started, as a machine that dies."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(_STOP_S)
            self._process = None

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "mlflow.log").read_text()[-2000:]
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=30) as reply:  # noqa: S310 - our own address
                return bool(reply.status == 200)
        except OSError:
            return False
