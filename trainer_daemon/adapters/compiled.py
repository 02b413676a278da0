"""The compiled pipelines: made once per version of package `pipelines`, in a child process, since compiling imports kfp."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from pipelines.digest import pipeline_digest
from trainer_daemon.errors import PermanentError, TemporaryError

_COMPILE_S_MAX = 120.0


def compiled_path(directory: Path, pipeline: str) -> Path:
    """Where the compiled pipeline is.

    Args:
        directory: The cache, see `compile_pipelines`.
        pipeline: Name of one of ours, or the path of a compiled one, which ends in `.yaml`.
    """
    if pipeline.endswith((".yaml", ".yml")):
        return Path(pipeline)
    return compile_pipelines(directory) / f"{pipeline}.yaml"


def compile_pipelines(directory: Path) -> Path:
    """The folder with our compiled pipelines, named by their digest; safe to call from several processes at once.

    Args:
        directory: The cache; made when missing.

    Raises:
        PermanentError: They do not compile.
        TemporaryError: The compiler did not end, or nothing can be written.
    """
    target = directory.absolute() / pipeline_digest()
    if target.is_dir():
        return target
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory, prefix=".compiling-") as scratch:
            made = Path(scratch) / "out"
            made.mkdir()
            _compile(made)
            _publish(made, target)
    except OSError as exc:
        msg = f"cannot write the compiled pipelines to {directory}: {exc}"
        raise TemporaryError(msg) from exc
    return target


def _compile(out: Path) -> None:
    command = [sys.executable, "-m", "pipelines", "compile", "--out", str(out)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, check=False, text=True, timeout=_COMPILE_S_MAX
        )
    except subprocess.TimeoutExpired as exc:
        msg = f"compiling the pipelines took more than {_COMPILE_S_MAX:g} s"
        raise TemporaryError(msg) from exc
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().rpartition("\n")[2]
        msg = f"the pipelines do not compile: {last}; try `python -m pipelines compile --out DIR`"
        raise PermanentError(msg)


def _publish(made: Path, target: Path) -> None:
    try:
        os.rename(made, target)  # noqa: PTH104 - fails on a folder that is not empty, which Path.replace does not promise
    except OSError:
        if not target.is_dir():  # otherwise another process was faster, with the same content
            raise
