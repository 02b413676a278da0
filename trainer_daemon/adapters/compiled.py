"""The compiled pipelines: made once per version of package `pipelines`, in a child process, since compiling imports kfp."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from pipelines.digest import pipeline_digest
from trainer_daemon.errors import PermanentError, TemporaryError

COMPILE_S_MAX = 120.0


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


def check_compiled(path: Path) -> None:
    """Read a compiled pipeline that is none of ours, in a child process, since reading imports kfp.

    Raises:
        PermanentError: It is none.
        TemporaryError: Reading it did not end.
    """
    code = "import sys; from kfp.components import load_component_from_file as read; read(sys.argv[1])"
    if problem := _complaint([sys.executable, "-c", code, str(path)], f"reading {path}"):
        msg = f"{path} is no compiled pipeline: {problem}; compile it anew with this version of kfp"
        raise PermanentError(msg)


def _compile(out: Path) -> None:
    if problem := _complaint([sys.executable, "-m", "pipelines", "compile", "--out", str(out)], "compiling the pipelines"):
        msg = f"the pipelines do not compile: {problem}; try `python -m pipelines compile --out DIR`"
        raise PermanentError(msg)


def _complaint(command: list[str], what: str) -> str:
    """The last line of what a command says when it fails, empty when it succeeds."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, check=False, text=True, timeout=COMPILE_S_MAX
        )
    except subprocess.TimeoutExpired as exc:
        msg = f"{what} took more than {COMPILE_S_MAX:g} s"
        raise TemporaryError(msg) from exc
    return (done.stderr or done.stdout or f"exit code {done.returncode}").strip().rpartition("\n")[2] if done.returncode else ""


def _publish(made: Path, target: Path) -> None:
    try:
        os.rename(made, target)  # noqa: PTH104 - fails on a folder that is not empty, which Path.replace does not promise
    except OSError:
        if not target.is_dir():  # otherwise another process was faster, with the same content
            raise
