"""The demo's stage: its folder, its configuration, and the real daemon as a child process that always ends with it."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from trainer_daemon.errors import TrainerError

MARKER = ".made-by-trainer-daemon-demo"
MODEL = "churn"
STOP_S_MAX = 15.0
_LOG_LINES_SHOWN = 15
_SETTINGS_OF_OTHERS = ("TRAINER_", "MLFLOW_")
"""Variables that would lead the daemon to a ledger or an MLflow that is not the stage's."""
_CONFIGURATION = f"""\
# The demo's configuration; `trainer-daemon init` writes one with every key explained.
ledger = "sqlite:///var/ledger.db"
workspace = "var"

[log]
format = "json"

[mlflow]
tracking_uri = "sqlite:///var/mlflow.db"

[orchestrator]
kind = "local"

[[models]]
name = "{MODEL}"
bucket = "drops"
drops = "churn_data_{{period}}.csv"
target = "Churn"
listing_interval_s = 5.0

[models.promotion]
metric = "log_loss"
thresholds = {{ roc_auc = 0.6 }}
max_loss = {{ roc_auc = 0.05 }}
"""


class DemoError(TrainerError):
    """The demo did not go as it should; the sentence says what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where the demo plays."""

    folder: Path

    @property
    def config(self) -> Path:
        """The daemon's configuration."""
        return self.folder / "trainer.toml"

    @property
    def drops(self) -> Path:
        """The bucket."""
        return self.folder / "drops"

    @property
    def daemon_log(self) -> Path:
        """What the daemon writes."""
        return self.folder / "daemon.log"

    def upload(self, name: str, text: str) -> None:
        """Put a file into the bucket at once, as a well-behaved upload does."""
        scratch = self.folder / f".{name}.part"
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(self.drops / name)


def prepare(folder: Path, configuration: str = _CONFIGURATION) -> Stage:
    """Make the folder anew.

    Args:
        folder: Where everything will be.
        configuration: The daemon's.

    Raises:
        DemoError: It exists and is not a demo's.
    """
    stage = Stage(folder=folder)
    if folder.exists() and any(folder.iterdir()) and not (folder / MARKER).exists():
        msg = f"{folder} is not empty and was not made by the demo, so it is left alone; name another with --folder"
        raise DemoError(msg)
    shutil.rmtree(folder, ignore_errors=True)
    stage.drops.mkdir(parents=True)
    (folder / MARKER).write_text("`trainer-daemon demo` deletes this folder when it is called again\n", encoding="utf-8")
    stage.config.write_text(configuration, encoding="utf-8")
    return stage


class Daemon:
    """The child process `trainer-daemon run`."""

    def __init__(self, stage: Stage) -> None:
        self._log = stage.daemon_log
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS_OF_OTHERS)}
        command = [sys.executable, "-m", "trainer_daemon", "run", "--config", str(stage.config)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # so that Ctrl-C reaches the demo only, which ends the daemon in an orderly way
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def require_alive(self) -> None:
        """Look whether it still runs.

        Raises:
            DemoError: It does not.
        """
        if not self.is_alive():
            msg = f"the daemon ended with exit code {self._process.returncode}; the end of {self._log}:\n{self.last_words()}"
            raise DemoError(msg)

    def last_words(self) -> str:
        """The end of its log."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-_LOG_LINES_SHOWN:])

    def kill(self) -> None:
        """End it with SIGKILL, as a machine that dies does."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """End it with SIGTERM, in an orderly way; with SIGKILL when that takes too long. Returns its exit code."""
        if self.is_alive():
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


@contextmanager
def running(stage: Stage) -> Iterator[Daemon]:
    """A daemon for as long as the context lasts."""
    daemon = Daemon(stage)
    try:
        yield daemon
    finally:
        daemon.stop()


def orderly_end() -> AbstractContextManager[None]:
    """A terminal that is closed and a plain `kill` end what runs here as Ctrl-C does."""
    return _at(signal.SIGTERM, signal.SIGHUP, do=signal.default_int_handler)


def undisturbed() -> AbstractContextManager[None]:
    """Within it, a second Ctrl-C does not leave behind what the first one is about to end."""
    return _at(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, do=signal.SIG_IGN)


@contextmanager
def _at(*numbers: signal.Signals, do: Callable[[int, FrameType | None], object] | signal.Handlers) -> Iterator[None]:
    before = {number: signal.signal(number, do) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
