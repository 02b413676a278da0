"""Runs pipelines on this machine with `kfp.local`, one child process per run, found again by its folder.

    <workspace>/runs/<name>/   request.json  what to execute            pid        the child that was given the run
                               lock          held while it executes     log.txt    what it and its steps print
                               result.json   how it ended               artifacts  what its steps wrote

The crash argument. Everything that is known of a run is in its folder, so a restarted daemon, or a second one, sees what the
first one saw.

* The lock is a `flock`. It belongs to the open file, not to a process: `submit` takes it, writes the request, sends the
  descriptor over a socket to the server that forks the child, and closes its own. From before the request exists until the
  child is gone there is no instant at which nobody holds it, whoever is killed when: a message in flight holds it too, and
  goes when its receiver does. Process ids are reused, locks are not.
* Two submits of one name: one gets the lock; the other finds it taken, or finds the result, and adopts.
* The daemon dies: the child leads its own session and goes on. The child dies: the lock falls free without a result. The daemon
  that started it is told the exit code by the server and says FAILED; any other, or one whose server was killed, says VANISHED.
  Both first kill the steps that were left behind, as the server does by itself, so that no step of a dead run still registers a
  model while the run is repeated. Steps do not inherit the lock: an orphaned step is not a live run, and would hold back its own
  repetition.
* The server dies: what it has forked goes on, and a step tells itself how it ended. What it was sent and had not begun is free
  again: a run is started by the next server, a step by a new interpreter.
* A result is renamed into place by whoever holds the lock, once, and is the end of the run: no later look sees anything else.
* `cancel` asks the child with SIGTERM, kills its process group after a grace, waits for the lock, kills what else carries the
  run's mark, and only then writes CANCELED. Dying half-way leaves a run that vanished, and cancelling that again is no error.
  The child itself writes no result on SIGTERM: it cannot tell a cancellation from a machine that shuts down.
* The child ends itself when its time is up. If it hangs, `observe` ends it, measured from this daemon's first look at it by the
  monotonic clock: a laptop that slept does not fail its runs.
"""

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from trainer_daemon.adapters.local import processes
from trainer_daemon.adapters.local.fork_server import FORKS, read_code
from trainer_daemon.adapters.local.run_folder import Result, RunFolder, Work
from trainer_daemon.adapters.local.run_log import StepReader
from trainer_daemon.adapters.local.standby import Standby
from trainer_daemon.errors import PermanentError, TemporaryError
from trainer_daemon.policy.observations import Observation, Phase
from trainer_daemon.ports import RunRequest, Submission

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_PROBE_ATTEMPTS = 3
_LOOK_AGAIN_S = 0.01
_OVERDUE_MARGIN_S = 15.0
_REAP_S_MAX = 5.0
_PAUSE_S_MIN, _PAUSE_S_MAX, _PAUSE_GROWTH = 0.03, 0.5, 1.3


class LocalOrchestrator:
    """An `Orchestrator` on this machine.

    Args:
        workspace: Where the runs' folders are; made when missing.
        compiled: Maps `RunRequest.pipeline` to the path of a compiled pipeline.
        forks: Whether children are forked; otherwise each is a new interpreter.
        idle_s: How long the server that runs are forked from waits for the next one once there is none.
        grace_s: How long a run that is to end may take before it is killed.
        on_end: Called with a run's name on a thread of its own when a run that this object started ends.
        clock: Seconds, monotonic; measures how long a run has been seen running.
    """

    def __init__(
        self,
        *,
        workspace: Path,
        compiled: Callable[[str], Path],
        forks: bool = FORKS,
        idle_s: float = 30.0,
        grace_s: float = 6.0,
        on_end: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runs = Path(os.path.realpath(workspace)) / "runs"  # real, since open files are compared by path
        self._compiled = compiled
        self._grace_s = grace_s
        self._on_end = on_end
        self._clock = clock
        self._own: dict[str, Future[str]] = {}
        self._first_seen: dict[str, float] = {}
        self._ending: set[str] = set()
        self._steps: dict[str, StepReader] = {}
        self._standby = Standby(os.environ, idle_s=idle_s, is_busy=self._is_busy, forks=forks)

    def submit(self, request: RunRequest) -> Submission:
        """Start the run unless it is running or has ended; what a killed one left is ended first.

        Raises:
            PermanentError: It can never be executed: no such pipeline, a name that is no file name, values that are not JSON.
            TemporaryError: The disk or the process table is full, or a killed run's steps do not end.
        """
        folder = self._folder(request.name)
        with _as_temporary(f"start run {request.name}"):
            is_started = folder.result() is None and self._start_unless_live(folder, self._work(request))
        return Submission(run_id=request.name, is_adopted=not is_started)

    def observe(self, names: Sequence[str]) -> Mapping[str, Observation]:
        """The state of each named run; RUNNING, VANISHED or how it ended.

        Raises:
            TemporaryError: A dead run's steps, or an overdue run, cannot be ended.
        """
        with _as_temporary("look at the runs"):
            return {name: self._observe(name) for name in names}

    def pause_s(self, looks: int) -> float:
        """A look costs next to nothing here: look eagerly after a change, ever more calmly while nothing happens."""
        return min(_PAUSE_S_MIN * _PAUSE_GROWTH ** min(looks, 30), _PAUSE_S_MAX)

    def cancel(self, name: str) -> None:
        """End the run and return when it is terminal.

        Raises:
            TemporaryError: It does not end.
        """
        folder = self._folder(name)
        with _as_temporary(f"cancel run {name}"):
            if folder.was_requested() and folder.result() is None:
                self._end(folder, Result(phase=Phase.CANCELED, reason="cancelled"))

    def archive(self, name: str) -> None:
        """Nothing to do: there is no list that it would stand in."""

    def warm(self) -> None:
        """A run will probably be submitted soon: have the server ready for it."""
        with _as_temporary("start a child process"):
            self._standby.warm()

    def close(self) -> None:
        """Let the server go; running pipelines go on."""
        self._standby.close()

    def _folder(self, name: str) -> RunFolder:
        if not _NAME.fullmatch(name):
            msg = f"'{name}' cannot be the name of a run: letters, digits, '.', '_' and '-' only"
            raise PermanentError(msg)
        return RunFolder(self._runs / name)

    def _work(self, request: RunRequest) -> Work:
        compiled = self._compiled(request.pipeline).absolute()
        if not compiled.is_file():
            msg = f"pipeline '{request.pipeline}' is not compiled: there is no file {compiled}"
            raise PermanentError(msg)
        return Work(
            name=request.name,
            pipeline=request.pipeline,
            compiled=str(compiled),
            parameters=dict(request.parameters),
            timeout_s=request.timeout_s,
        )

    def _start_unless_live(self, folder: RunFolder, work: Work) -> bool:
        lock = _claim_patiently(folder)
        if lock is None:
            return False
        try:
            return self._start(folder, work, lock)
        finally:
            os.close(lock)

    def _start(self, folder: RunFolder, work: Work, lock: int) -> bool:
        """Execute the run in a child, unless it has ended meanwhile; the caller holds the lock."""
        if folder.result() is not None:
            return False
        if folder.was_requested():
            self._end_steps(folder)
        try:
            folder.prepare(work)
        except (TypeError, ValueError) as exc:
            msg = f"the parameters of run {work.name} cannot be written as JSON: {exc}"
            raise PermanentError(msg) from exc
        told = self._standby.start(folder, lock)
        death: Future[str] = Future()
        self._own[folder.name] = death
        self._first_seen[folder.name] = self._clock()
        threading.Thread(target=self._reap, args=(folder, told, death), name=f"reap-{folder.name}", daemon=True).start()
        return True

    def _reap(self, folder: RunFolder, told: int, death: "Future[str]") -> None:
        code = None
        with suppress(ConnectionError):
            code = read_code(told)
        death.set_result(_server_death(self._standby.death()) if code is None else _death(code, folder))
        self._standby.rest()
        if self._on_end is not None:
            self._on_end(folder.name)

    def _observe(self, name: str) -> Observation:
        folder = self._folder(name)
        if (result := folder.result()) is not None:
            return self._ended(name, result)
        if name in self._ending or folder.is_locked():
            return self._running(folder)
        if (result := folder.result()) is not None:  # it ended between the two looks
            return self._ended(name, result)
        if folder.was_requested():
            self._end_steps(folder)
        if name in self._own and (reason := self._reason(folder)):
            return Observation(name=name, phase=Phase.FAILED, run_id=name, reason=reason)
        return Observation(name=name, phase=Phase.VANISHED)

    def _reason(self, folder: RunFolder) -> str:
        """How a child ended that left no result; its lock is free, so it is ending or gone. Empty when nobody knows."""
        try:
            return self._own[folder.name].result(timeout=_REAP_S_MAX)
        except TimeoutError as exc:
            msg = f"process {folder.pid()} of run {folder.name} gave up its lock and does not end; look at it by hand"
            raise TemporaryError(msg) from exc

    def _running(self, folder: RunFolder) -> Observation:
        first_seen = self._first_seen.setdefault(folder.name, self._clock())
        if folder.name not in self._ending and folder.was_requested():
            timeout_s = folder.work().timeout_s
            if self._clock() - first_seen > timeout_s + _OVERDUE_MARGIN_S:
                self._end(
                    folder, Result(phase=Phase.FAILED, reason=f"timed out after {timeout_s:g} s, and hung: see {folder.log}")
                )
        steps = self._steps.setdefault(folder.name, StepReader(folder.log))
        return Observation(name=folder.name, phase=Phase.RUNNING, run_id=folder.name, step=steps.step())

    def _ended(self, name: str, result: Result) -> Observation:
        self._own.pop(name, None)
        self._first_seen.pop(name, None)
        self._steps.pop(name, None)
        return Observation(name=name, phase=result.phase, run_id=name, reason=result.reason)

    def _end(self, folder: RunFolder, result: Result) -> None:
        """End a run and write the result, unless it ends by itself meanwhile."""
        self._ending.add(folder.name)
        try:
            lock = self._stop_leader(folder)
            try:
                self._end_steps(folder)
                if folder.result() is None:
                    folder.conclude(result)
            finally:
                os.close(lock)
        finally:
            self._ending.discard(folder.name)

    def _stop_leader(self, folder: RunFolder) -> int:
        """Ask, then kill, until the lock is ours."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            deadline = time.monotonic() + self._grace_s
            signalled = False
            while time.monotonic() < deadline:
                if (lock := folder.claim()) is not None:
                    return lock
                # a child that was just given the run has not opened the lock yet: look until it has
                if not signalled and (leader := self._leader(folder)) is not None:
                    _stop(leader, number)
                    signalled = True
                elif number == signal.SIGKILL and folder.pid() is None:  # nobody has begun it, nor will
                    self._standby.kill()
                time.sleep(_LOOK_AGAIN_S)
        msg = f"run {folder.name} does not end: process {folder.pid()} survives SIGKILL; look at it by hand"
        raise TemporaryError(msg)

    def _leader(self, folder: RunFolder) -> psutil.Process | None:
        return processes.leader_of(folder.lock, folder.pid())

    def _end_steps(self, folder: RunFolder) -> None:
        if not processes.end_steps(folder.path, folder.mark, within_s=self._grace_s):
            msg = f"steps of the dead run {folder.name} do not end; look for processes with {processes.MARKER}={folder.path}"
            raise TemporaryError(msg)

    def _is_busy(self) -> bool:
        return any(not death.done() for death in tuple(self._own.values()))


def _claim_patiently(folder: RunFolder) -> int | None:
    """Take the lock; somebody's look at it lasts an instant and is not to be taken for a live run."""
    for _ in range(_PROBE_ATTEMPTS):
        if (lock := folder.claim()) is not None:
            return lock
        time.sleep(_LOOK_AGAIN_S)
    return None


def _stop(leader: psutil.Process, number: signal.Signals) -> None:
    if number == signal.SIGKILL:
        processes.end_group(leader)
        return
    with suppress(psutil.Error):
        leader.send_signal(number)


def _server_death(code: int | None) -> str:
    if code is None:
        return ""
    return f"the process that runs are forked from ended with code {code}; `trainer-daemon doctor` says what it lacks"


def _death(code: int, folder: RunFolder) -> str:
    if code == -signal.SIGKILL:
        return "killed by signal 9 (SIGKILL): probably memory ran out; give the machine more or the pipeline less data"
    if code < 0:
        return f"killed by signal {-code} ({signal.Signals(-code).name}); see {folder.log}"
    return f"its process ended with code {code} without a result; see {folder.log}"


@contextmanager
def _as_temporary(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        msg = f"cannot {what}: {exc}"
        raise TemporaryError(msg) from exc
