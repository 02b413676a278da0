"""Checks of the local orchestrator: whether a child process that executes pipelines can be started."""

import os
import subprocess
import sys
import time

from trainer_daemon.adapters.local.standby import child_environment
from trainer_daemon.policy.checks import Finding, failed, ok
from trainer_daemon.probing import Probe

_START_S_MAX = 60.0
"""Importing kfp takes half a second; on a machine that is busy and has never done it, much longer."""
_IMPORTING = "from trainer_daemon.adapters.local.runner import import_kfp; import_kfp()"


def local_probes() -> tuple[Probe, ...]:
    """Whether runs can be executed on this machine."""
    return (Probe(name="orchestrator", look=_start_child, deadline_s=_START_S_MAX + 10),)


def _start_child() -> Finding:
    """What a child does before it is given a run."""
    began = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-c", _IMPORTING],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
            timeout=_START_S_MAX,
            env=child_environment(os.environ),
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        return failed(f"a child process cannot be started: {exc}", "see that memory and the process table have room")
    if done.returncode != 0:
        said = done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}"
        return failed(f"a child process cannot import kfp: {said}", "install the program anew, with its locked dependencies")
    return ok(f"local: a child process is ready after {time.monotonic() - began:.1f} s")
