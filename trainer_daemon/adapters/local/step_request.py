"""What a step is asked to do, and how a process that was forked for it does it.

`kfp.local` starts every step as a new interpreter, which spends most of a small run on importing scikit-learn and MLflow, four
times over. What is forked has what the server has imported by then, and executes the component as the new interpreter would have.
"""

import atexit
import json
import logging
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from trainer_daemon.adapters.local.fork_server import tell


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRequest:
    """What a step is to execute.

    Attributes:
        source: Path of the component's Python text.
        arguments: Of KFP's executor.
        environment: Added to the server's own.
        folder: It works in.
    """

    source: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    folder: str

    def write(self, path: Path) -> None:
        """Write it down as JSON."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "StepRequest":
        """What `write` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def execute(self, *, output: int, told: int) -> None:
        """Do in this process what `python3 -m kfp.dsl.executor_main` does in a new one; raises whatever the component raises.

        Args:
            output: Descriptor to print to.
            told: Takes the exit code.

        Raises:
            SystemExit: Its work is done. Nobody may catch it, nor what a component raises.
        """
        ending = _Ending(told)
        for descriptor in (1, 2):
            os.dup2(output, descriptor)
        os.close(output)
        sys.stdout = sys.stderr = open(1, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115 - ends with the process
        os.environ.update(self.environment)
        os.chdir(self.folder)
        tempfile.tempdir = None  # may have been read from the environment before
        logging.root.handlers.clear()
        sys.argv = ["executor_main.py", "--component_module_path", self.source, *self.arguments]
        from kfp.dsl.executor_main import executor_main

        executor_main()
        ending.code = 0
        sys.exit()


class _Ending:
    """Ends a step after its threads and what its libraries do at exit, but without taking the interpreter apart.

    Doing so costs almost half a second with so many modules, and the memory goes with the process anyway.
    """

    def __init__(self, told: int) -> None:
        self.code = 1
        self._told = told
        atexit.register(self._leave)  # called after what is registered later, the libraries' own

    def _leave(self) -> None:
        logging.shutdown()
        sys.stdout.flush()
        tell(self._told, self.code)
        os._exit(self.code)
