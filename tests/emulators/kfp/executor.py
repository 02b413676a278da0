"""The process that executes one run, forked from `python -m tests.emulators.kfp.executor`.

It leads its own session, holds the run's lock, and outlives the server, as a workflow outlives the API server of a cluster.
Nothing here talks to the server: what happens is written to files in the run's folder.
"""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from tests.emulators.kfp.run_files import CACHE, EVENTS, SPEC
from trainer_daemon.adapters.local import runner
from trainer_daemon.adapters.local.forked_steps import ForkedSteps
from trainer_daemon.adapters.local.run_folder import Result, RunFolder
from trainer_daemon.adapters.local.run_log import RunLog
from trainer_daemon.adapters.local.run_server import serve
from trainer_daemon.policy.observations import Phase


class Recorder:
    """Writes down when each task starts and how it ends.

    Args:
        path: The file; one line per event.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._lock = threading.Lock()  # a parallel loop runs tasks in several threads
        self._number = 0
        self._current = threading.local()

    def watch(self) -> None:
        """Put this recorder between kfp.local and its tasks, which kfp offers no hook for."""
        from kfp.local import subprocess_task_handler, task_dispatcher
        from kfp.local.orchestrator import task_executor

        task_executor.execute_single_task = self._task(task_executor.execute_single_task)
        task_dispatcher.run_single_task_implementation = self._dispatch(task_dispatcher.run_single_task_implementation)
        subprocess_task_handler.run_local_subprocess = self._process(subprocess_task_handler.run_local_subprocess)

    def _task(self, execute: Callable[..., Any]) -> Callable[..., Any]:
        def execute_and_record(**arguments: Any) -> Any:  # noqa: ANN401 - those of kfp
            self._current.was_executed, self._current.code = False, 0
            number = self._started(arguments["task_name"])
            outputs, status = execute(**arguments)
            ended = "SUCCEEDED" if self._current.was_executed else "SKIPPED"
            self._write(number=number, state=ended if status.name == "SUCCESS" else "FAILED", code=self._current.code)
            return outputs, status

        return execute_and_record

    def _dispatch(self, dispatch: Callable[..., Any]) -> Callable[..., Any]:
        def dispatch_and_note(**arguments: Any) -> Any:  # noqa: ANN401 - those of kfp
            self._current.was_executed = True
            return dispatch(**arguments)

        return dispatch_and_note

    def _process(self, run: Callable[..., int]) -> Callable[..., int]:
        def run_and_note(**arguments: Any) -> int:  # noqa: ANN401 - those of kfp
            self._current.code = run(**arguments)
            return int(self._current.code)

        return run_and_note

    def _started(self, task: str) -> int:
        with self._lock:
            self._number += 1
            number = self._number
        self._write(number=number, task=task)
        return number

    def _write(self, **event: Any) -> None:  # noqa: ANN401 - JSON
        os.write(self._descriptor, (json.dumps(event | {"time": time.time()}) + "\n").encode())


def lead(folder: RunFolder, lock: int, channel: socket.socket) -> None:  # noqa: ARG001 - is held by being open
    """Execute the run, write its result.

    Args:
        folder: Of the run.
        lock: Descriptor that holds its lock.
        channel: To the server that forks its steps.
    """
    folder.record_pid(os.getpid())
    os.chdir(folder.path)
    log = RunLog(folder.log)
    runner.redirect_output(log)
    signal.signal(signal.SIGTERM, partial(_stop, folder, log))
    try:
        _execute(folder, channel)
    except BaseException as error:
        folder.conclude(Result(phase=Phase.FAILED, reason=log.failure(error)))
        raise
    folder.conclude(Result(phase=Phase.SUCCEEDED))


def _stop(folder: RunFolder, log: RunLog, number: int, _frame: FrameType | None) -> None:
    """Somebody ended the run: the steps are given time, and there is no result."""
    from trainer_daemon.adapters.local import processes

    log.write(f"ended by {signal.Signals(number).name}\n")
    processes.end_own_steps(folder.path, folder.mark, grace_s=runner.STEP_GRACE_S)
    os._exit(128 + number)


def _execute(folder: RunFolder, channel: socket.socket) -> None:
    runner.mark_environment(folder)
    from kfp import local
    from kfp.local import pipeline_orchestrator

    work = folder.work()
    ForkedSteps(channel, folder.mark).install()
    Recorder(folder.path / EVENTS).watch()
    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=str(folder.artifacts),
        workspace_root=str(folder.scratch / "workspace"),  # kfp deletes it after the pipeline
        enable_caching=True,  # for the tasks whose spec asks for it
        cache_root=str(folder.path.parents[1] / CACHE),
    )
    pipeline_orchestrator.run_local_pipeline(pipeline_spec=runner.read_spec(folder.path / SPEC), arguments=dict(work.parameters))


if __name__ == "__main__":
    serve(lead)
