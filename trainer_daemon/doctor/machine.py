"""Checks of this machine: the variables that redirect Google's clients, the workspace, the compiled pipelines."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipelines.digest import pipeline_digest
from trainer_daemon.adapters.compiled import COMPILE_S_MAX, check_compiled, compile_pipelines
from trainer_daemon.config import ModelSettings, Settings
from trainer_daemon.config_values import BUILT_IN_PIPELINES
from trainer_daemon.errors import TemporaryError
from trainer_daemon.policy.checks import Finding, failed, ok, warning
from trainer_daemon.probing import Probe
from trainer_daemon.telemetry.redaction import redacted

STORAGE_VARIABLE, PUBSUB_VARIABLE = "STORAGE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST"
GIB = 1 << 30
SPACE_MIN, SPACE_LOW = GIB // 4, 2 * GIB


def workspace_probe(settings: Settings) -> Probe:
    """Whether the workspace can be written and has room."""
    return Probe(name="workspace", look=lambda: _look_at_workspace(settings.workspace))


def _look_at_workspace(workspace: Path) -> Finding:
    with writable(workspace) as existing:
        return judge_space(workspace, shutil.disk_usage(existing).free)


def judge_space(workspace: Path, free: int) -> Finding:
    """Whether there is room for runs.

    Args:
        workspace: Where they are.
        free: Bytes.
    """
    found = f"{workspace} is writable, {free / GIB:.1f} GiB are free"
    fix = f"make room: {workspace / 'runs'} holds the runs, and their artifacts are what is large"
    if free < SPACE_MIN:
        return failed(found, fix)
    return warning(found, fix) if free < SPACE_LOW else ok(found)


@contextmanager
def writable(folder: Path) -> Iterator[Path]:
    """Within it, the folder, or the nearest above it that exists, is known to be writable; nothing is left there."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as exc:
        msg = f"{folder} cannot be written: {exc.strerror}; correct the configuration or the permissions of {existing}"
        raise TemporaryError(msg) from exc
    yield existing


def pipelines_probe(settings: Settings) -> Probe:
    """Whether all pipelines compile."""
    return Probe(name="pipelines", look=lambda: _look_at_pipelines(settings), deadline_s=COMPILE_S_MAX + 10)


def _look_at_pipelines(settings: Settings) -> Finding:
    """What is compiled is kept for the daemon where it has a workspace."""
    if settings.workspace.is_dir():
        made = _compiled(settings.workspace / "pipelines")
    else:
        with tempfile.TemporaryDirectory() as scratch:
            made = _compiled(Path(scratch))
    own = [_look_at_own(path) for path in _own_pipelines(settings.models)]
    return ok(", ".join([f"{made} compile, digest {pipeline_digest()[:12]}", *own]))


def _compiled(cache: Path) -> str:
    return ", ".join(sorted(path.stem for path in compile_pipelines(cache).glob("*.yaml")))


def _own_pipelines(models: Sequence[ModelSettings]) -> list[Path]:
    named = {model.training.pipeline for model in models}
    return [Path(name) for name in sorted(named.difference(BUILT_IN_PIPELINES))]


def _look_at_own(path: Path) -> str:
    check_compiled(path)
    return f"{path.name} is readable, digest {hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"


def emulator_probes(settings: Settings, environ: Mapping[str, str] = os.environ) -> tuple[Probe, ...]:
    """Whether Google's clients are redirected, if a model uses them at all."""
    if not any(model.on_google for model in settings.models):
        return ()
    uses_pubsub = any(model.subscription for model in settings.models)
    return (Probe(name="emulators", look=lambda: judge_emulators(environ, uses_pubsub=uses_pubsub)),)


def judge_emulators(environ: Mapping[str, str], *, uses_pubsub: bool) -> Finding:
    """Whether calls go to Google, all of them or none."""
    wanted = (STORAGE_VARIABLE, PUBSUB_VARIABLE) if uses_pubsub else (STORAGE_VARIABLE,)
    given = [name for name in wanted if environ.get(name)]
    if not given:
        return ok("none, calls go to Google")
    found = ", ".join(f"{name} is {redacted(environ[name])}" for name in given)
    if len(given) < len(wanted):
        (other,) = set(wanted).difference(given)
        return failed(f"{found}, but {other} is not set, so half of the calls go to Google", f"set {other} too, or unset both")
    return warning(f"{found}: calls go there, not to Google", f"unset {' '.join(given)}, unless this is a test")
