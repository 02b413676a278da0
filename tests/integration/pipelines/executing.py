"""Compiled pipelines, executed by kfp.local in a process of their own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

EXECUTE = """
import json, sys
from kfp import components, local
local.init(local.SubprocessRunner(use_venv=False), pipeline_root=sys.argv[3], raise_on_error=True)
components.load_component_from_file(sys.argv[1])(**json.loads(sys.argv[2]))
"""


def python(*arguments: str, fails: bool = False) -> str:
    """Run a Python process to its end and return all it printed."""
    done = subprocess.run(
        [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=110
    )
    assert (done.returncode != 0) == fails, done.stdout
    return done.stdout


def execute(pipeline: Path, parameters: dict[str, Any], root: Path, *, fails: bool = False) -> str:
    """Run a compiled pipeline in a process of its own."""
    return python("-c", EXECUTE, str(pipeline), json.dumps(parameters), str(root), fails=fails)
