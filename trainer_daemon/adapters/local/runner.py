"""The child that executes one run and writes its result.

It belongs to nobody: it leads its own session, holds the run's lock and outlives the daemon. Where processes are not forked,
`python -m trainer_daemon.adapters.local.runner FOLDER LOCK` is its entry point.
"""

import contextlib
import importlib
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from trainer_daemon.adapters.local.forked_steps import ForkedSteps
from trainer_daemon.adapters.local.run_folder import Result, RunFolder, Work, prune_artifacts
from trainer_daemon.adapters.local.run_log import RunLog
from trainer_daemon.policy.observations import Phase

STEP_GRACE_S = 2.0
_AFTERMATH_S = 0.5


class Ending:
    """Writes the one result of a run: of several reasons to end, the first wins.

    Args:
        folder: The run.
        log: Its log, which knows the step it is in.
    """

    def __init__(self, folder: RunFolder, log: RunLog) -> None:
        self._folder = folder
        self._log = log
        self._first = threading.Lock()  # taken by whoever ends the run, never given back

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        """The pipeline has come to its end, well or not."""
        self._first.acquire()
        if error is None:
            self._conclude(Result(phase=Phase.SUCCEEDED))
            return True
        reason = self._log.failure(error)
        if not reason.startswith("step "):  # a failing step has printed its own traceback
            traceback.print_exception(kind, error, trace, file=self._log)
        # whoever kills everything at once may reach a step before it reaches us: then the run vanished, it did not fail
        time.sleep(_AFTERMATH_S)
        self._conclude(Result(phase=Phase.FAILED, reason=reason))
        return True

    def time_out(self, after_s: float) -> None:
        """The run's time is up; called on the timer's thread."""
        if self._first.acquire(blocking=False):
            step = f"step {self._log.step}" if self._log.step else "the start"
            self._end_steps()
            self._conclude(Result(phase=Phase.FAILED, reason=f"timed out after {after_s:g} s in {step}"))
            os._exit(1)

    def stop(self, number: int, _frame: FrameType | None) -> None:
        """Somebody wants this process to end.

        No result is written: only who asked knows whether the run is cancelled or the machine shuts down.
        """
        if self._first.acquire(blocking=False):
            self._log.write(f"ended by {signal.Signals(number).name}\n")
            self._end_steps()
            shutil.rmtree(self._folder.scratch, ignore_errors=True)
            os._exit(128 + number)

    def _end_steps(self) -> None:
        from trainer_daemon.adapters.local import processes  # psutil is paid for by runs that end badly

        processes.end_own_steps(self._folder.path, self._folder.mark, grace_s=STEP_GRACE_S)

    def _conclude(self, result: Result) -> None:
        self._log.write(f"{result.phase.value} {result.reason}".rstrip() + "\n")
        shutil.rmtree(self._folder.scratch, ignore_errors=True)
        self._folder.conclude(result)


def import_kfp() -> None:
    """Import what executing needs and nothing else: without the API client, requests and docker it takes a third of the time."""
    os.environ["_KFP_RUNTIME"] = "true"  # makes `import kfp` import nothing further
    importlib.import_module("kfp")
    del os.environ["_KFP_RUNTIME"]  # kfp.dsl has a circular import under it
    sys.modules["kfp.local.docker_task_handler"] = None  # type: ignore[assignment]  # kfp does without when it cannot be imported
    importlib.import_module("kfp.local.pipeline_orchestrator")
    importlib.import_module("kfp.local.task_dispatcher")
    importlib.import_module("yaml")


def redirect_output(log: RunLog) -> None:
    """Let everything that this process and its children print go to the run's log."""
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a device
        os.dup2(nothing.fileno(), 0)
    sys.stdout = sys.stderr = log


def mark_environment(folder: RunFolder) -> None:
    """Give the steps their marks, a temporary folder that ends with the run, and an interpreter by a name without surprises.

    kfp replaces every `python3` in a step's arguments, in parameter values too, by `sys.executable`, unquoted, so that a
    path with a space breaks; named `python3` and found by PATH, nothing changes.
    """
    folder.scratch.mkdir(exist_ok=True)
    os.environ.update(TRAINER_RUN=folder.name, TRAINER_RUN_FOLDER=str(folder.path), TMPDIR=str(folder.scratch))
    tempfile.tempdir = None  # may have been read from the environment before
    executable = Path(sys.executable)
    if (executable.parent / "python3").exists():
        os.environ["PATH"] = os.pathsep.join([str(executable.parent), os.environ.get("PATH", os.defpath)])
        sys.executable = "python3"


def execute(folder: RunFolder, work: Work) -> None:
    """Run the pipeline in this process, its steps in children; raises whatever kfp raises when one fails."""
    from kfp import local
    from kfp.local import pipeline_orchestrator

    # of every step: that its image is not Python's own, and that its resources and its name mean nothing here
    warnings.filterwarnings("ignore", module=r"kfp\.local")
    spec = read_spec(Path(work.compiled))
    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=str(folder.artifacts),
        workspace_root=str(folder.scratch / "workspace"),  # kfp deletes it after the pipeline
    )
    pipeline_orchestrator.run_local_pipeline(pipeline_spec=spec, arguments=arguments(spec, work.parameters))


def read_spec(compiled: Path) -> Any:  # noqa: ANN401 - a protobuf message of an untyped library
    """The compiled pipeline.

    Not by `load_component_from_file`: of a pipeline that is named like one of its components it returns the component.
    """
    import yaml  # type: ignore[import-untyped]
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document = next(yaml.load_all(compiled.read_text(encoding="utf-8"), Loader=loader))  # a platform's own may follow
    return json_format.ParseDict(document, pipeline_spec_pb2.PipelineSpec())


def arguments(spec: Any, parameters: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - as above
    """The parameters that the pipeline declares.

    Raises:
        ValueError: It needs one that was not given.
    """
    declared = spec.root.input_definitions.parameters
    given = {name: value for name, value in parameters.items() if name in declared}
    if missing := sorted(name for name in declared if name not in given and not declared[name].is_optional):
        msg = f"the pipeline requires parameter {', '.join(missing)}, which was not given"
        raise ValueError(msg)
    return given


def lead(folder: RunFolder, lock: int, channel: socket.socket | None) -> None:  # noqa: ARG001 - is held by being open
    """Execute a run, write its result.

    Args:
        folder: Of the run.
        lock: Descriptor that holds its lock until this process ends.
        channel: To a server that forks its steps; None where `kfp.local` starts new interpreters.
    """
    folder.record_pid(os.getpid())
    log = RunLog(folder.log)
    redirect_output(log)
    with Ending(folder, log) as ending:
        signal.signal(signal.SIGTERM, ending.stop)
        work = folder.work()
        _start_timer(ending, work.timeout_s)
        log.write(f"run {work.name} of pipeline {work.pipeline}\n")
        import_kfp()
        mark_environment(folder)
        if channel is not None:
            ForkedSteps(channel, folder.mark).install()
        execute(folder, work)
    with contextlib.suppress(OSError):  # housekeeping, which the next run does as well
        prune_artifacts(folder.path.parent)


def _start_timer(ending: Ending, after_s: float) -> None:
    timer = threading.Timer(after_s, ending.time_out, args=(after_s,))
    timer.daemon = True
    timer.start()


if __name__ == "__main__":
    lead(RunFolder(Path(sys.argv[1])), int(sys.argv[2]), None)
