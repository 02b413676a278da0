"""The real process under test: a workspace, `trainer-daemon` as a child process, and looks at what it left."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from trainer_daemon.cli import main

TOOL = Path(sys.executable).with_name("trainer-daemon")
PATIENCE_S = 240.0
"""Processes start slowly on a busy machine."""
FINAL = {"PROMOTED", "REJECTED", "QUARANTINED", "FAILED", "SUPERSEDED", "CANCELED"}


def pause(seconds: float) -> None:
    """Let the other processes work."""
    threading.Event().wait(seconds)


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float = PATIENCE_S, *, every_s: float = 0.05) -> Any:  # noqa: ANN401 - whatever the condition returns
    """Poll until the condition holds and return its value; fail with `what` after the time."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        pause(every_s)
    return value


@dataclass
class Workspace:
    """A folder with a configuration, drops, and what the daemon makes of them."""

    root: Path
    model: dict[str, Any] = field(default_factory=dict)
    top: str = ""
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _read: int = 0
    _lines: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.drops.mkdir(parents=True, exist_ok=True)
        keys = {"name": "churn", "bucket": "drops", "retry_backoff_s": 0.1, **self.model}
        lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items() if not isinstance(value, dict)]
        for section, table in keys.items():
            if isinstance(table, dict):
                lines += [f"[models.{section}]", *(f"{key} = {_toml(value)}" for key, value in table.items())]
        self.config.write_text(f'{self.top}\n[log]\nlevel = "debug"\n[[models]]\n' + "\n".join(lines) + "\n")

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.root / "trainer.toml"

    @property
    def drops(self) -> Path:
        """The bucket."""
        return self.root / "drops"

    @property
    def log(self) -> Path:
        """Everything that every daemon of this workspace wrote."""
        return self.root / "daemon.log"

    def drop(self, name: str, data: str | bytes) -> Path:
        """Upload: write beside, then rename into place."""
        target = self.drops / name
        scratch = self.root / f".{target.name}"
        scratch.write_bytes(data.encode() if isinstance(data, str) else data)
        scratch.rename(target)
        return target

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a daemon in the background."""
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                [TOOL, "run", "--config", self.config, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.children.append(child)
        return child

    def run_until_idle(self, timeout_s: float = PATIENCE_S) -> int:
        """Work until nothing is left to do; returns the exit code."""
        return self.start("--until-idle").wait(timeout_s)

    def call(self, *arguments: str, timeout_s: float = PATIENCE_S) -> subprocess.CompletedProcess[str]:
        """Run another command of the tool, as a process of its own."""
        command = [str(TOOL), arguments[0], "--config", str(self.config), *arguments[1:]]
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=False)

    def ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command of the tool, in this process: a start of Python costs as much as ten commands."""
        command = [arguments[0], "--config", str(self.config), *arguments[1:]]
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            try:
                main(command)
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
        return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())

    def status(self) -> dict[str, Any]:
        """The model's part of `status --json`."""
        done = self.ask("status", "--json")
        assert done.returncode == 0, done.stderr
        model: dict[str, Any] = json.loads(done.stdout)["models"][0]
        return model

    def events(self) -> list[dict[str, Any]]:
        """Every log line that was written completely; only what is new is read."""
        if self.log.exists():
            with self.log.open("rb") as log:
                log.seek(self._read)
                complete, newline, _ = log.read().rpartition(b"\n")
            self._read += len(complete) + len(newline)
            lines = complete.decode("utf-8").splitlines()
            # a line that a kill cut off is continued by the next daemon's first one
            self._lines += [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return list(self._lines)

    def logged(self, name: str) -> list[dict[str, Any]]:
        """Log lines of one event."""
        return [line for line in self.events() if line["message"] == name]

    def processes(self) -> list[psutil.Process]:
        """Every process that belongs to this workspace."""
        return [process for process in psutil.process_iter() if _mentions(process, str(self.root))]

    def kill_tree(self) -> None:
        """SIGKILL for every process of this workspace, as a machine that dies."""
        for process in self.processes():
            try:
                os.kill(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        for child in self.children:
            child.wait(PATIENCE_S)


def _mentions(process: psutil.Process, root: str) -> bool:
    if process.pid == os.getpid():
        return False
    try:
        if process.name() not in {"python", "python3", "trainer-daemon", "sh"} and "python" not in process.name():
            return False
        inside = root in " ".join(process.cmdline()) or any(root in value for value in process.environ().values())
        # the process of a run is told its folder over a socket, but holds the run's lock and log open
        return inside or any(root in file.path for file in process.open_files())
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return False


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)
