"""The check that an orchestrator really runs pipelines: it is given the pipeline `hello`, and its end is waited for."""

import time
from collections.abc import Callable
from threading import Event

from trainer_daemon.errors import TemporaryError
from trainer_daemon.policy.checks import Finding, failed, ok
from trainer_daemon.policy.observations import Observation, Phase
from trainer_daemon.ports import Orchestrator, RunRequest
from trainer_daemon.probing import Probe

PIPELINE = "hello"
_LOOK_S_MIN, _LOOK_S_MAX, _GROWTH = 0.1, 2.0, 1.3
_MARGIN_S = 30.0
"""For submitting and for cancelling, each of which the orchestrator bounds itself."""
_UNDER_WAY = frozenset({Phase.PENDING, Phase.RUNNING, Phase.UNKNOWN})


class Hello:
    """One run of the pipeline `hello`.

    Args:
        connect: Opens the orchestrator.
        name: Of the run; one that never was.
        timeout_s: How long it may take.
    """

    def __init__(self, connect: Callable[[], Orchestrator], *, name: str, timeout_s: float) -> None:
        self._connect = connect
        self._name = name
        self._timeout_s = timeout_s
        self._orchestrator: Orchestrator | None = None
        self._is_under_way = False
        self._stopping = Event()

    def probe(self, *needs: Probe) -> Probe:
        """The check.

        Args:
            needs: What has to be in order before it makes sense.
        """
        return Probe(name=PIPELINE, look=self._look, needs=needs, deadline_s=self._timeout_s + 2 * _MARGIN_S)

    def close(self) -> None:
        """Cancel the run if it is still under way, for instance because the command was interrupted."""
        self._stopping.set()
        if self._orchestrator is not None:
            try:
                self._give_up(self._orchestrator)
            finally:
                self._orchestrator.close()

    def _look(self) -> Finding:
        began = time.monotonic()
        orchestrator = self._orchestrator = self._connect()
        self._is_under_way = True
        request = RunRequest(name=self._name, pipeline=PIPELINE, parameters={"name": "doctor"}, timeout_s=self._timeout_s)
        orchestrator.submit(request)
        seen = self._wait(orchestrator, began + self._timeout_s)
        if seen.phase in _UNDER_WAY:
            self._give_up(orchestrator)
            found = f"run {self._name} is {seen.phase} after {self._timeout_s:g} s and was cancelled"
            return failed(
                found, "look at it on the orchestrator: does it have room for one more step, and can it pull the image?"
            )
        self._is_under_way = False
        if seen.phase is not Phase.SUCCEEDED:
            return failed(f"run {self._name} ended {seen.phase}: {seen.reason}", "look at the log of its step")
        return ok(f"run {self._name} succeeded after {time.monotonic() - began:.1f} s; it stays there as any other run")

    def _wait(self, orchestrator: Orchestrator, end: float) -> Observation:
        """The last look at the run; what the orchestrator does not answer is asked again."""
        seen = Observation(name=self._name, phase=Phase.PENDING)
        pause_s = _LOOK_S_MIN
        while seen.phase in _UNDER_WAY and time.monotonic() < end and not self._stopping.wait(pause_s):
            pause_s = min(pause_s * _GROWTH, _LOOK_S_MAX)
            try:
                seen = orchestrator.observe([self._name])[self._name]
            except TemporaryError as exc:
                seen = Observation(name=self._name, phase=Phase.UNKNOWN, reason=str(exc))
        return seen

    def _give_up(self, orchestrator: Orchestrator) -> None:
        if self._is_under_way:
            self._is_under_way = False
            orchestrator.cancel(self._name)
