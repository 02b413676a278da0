"""A thread that works in rounds, rests between them, and can be woken: wake-ups are never lost and never counted."""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from structlog.typing import FilteringBoundLogger

from trainer_daemon.errors import PermanentError, TemporaryError
from trainer_daemon.telemetry.vitals import Pulse
from trainer_daemon.telemetry.work import begin_scope

BACKOFF_S_MIN, BACKOFF_S_MAX = 1.0, 60.0
RETRY_AFTER_S_MAX = 3600.0
"""However long a service asks to be left alone: what it says may be a mistake, and nobody can wake a loop that backs off."""
REFUSED_BACKOFF_S = 300.0
STUCK_AFTER = 5
"""Failures in a row after which nobody expects the next round to succeed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """What follows a round.

    Attributes:
        seconds: Until the next round; None to sleep until woken.
        idle: Nothing is left to do unless something happens.
        deaf: A wake-up does not shorten it; so that a storm of events does not defeat a backoff.
    """

    seconds: float | None
    idle: bool = False
    deaf: bool = False


class Loop:
    """Calls `work` again and again on a thread of its own.

    An error ends neither the thread nor the process: what is temporary is tried again with growing, jittered pauses; a
    refusal and a bug - this is the one place that catches everything - are logged as errors and tried again much later.

    Args:
        name: Of its thread.
        work: One round.
        log: For what goes wrong.
        pulse: Is told of every round, so that others see that it makes progress.
    """

    def __init__(self, name: str, work: Callable[[], Rest], log: FilteringBoundLogger, pulse: Pulse | None = None) -> None:
        self._work = work
        self._log = log
        self._pulse = pulse or Pulse(name)
        self._state = threading.Condition()
        self._rung = False
        self._stopping = False
        self._resting: Rest | None = None
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin working."""
        self._thread.start()

    def wake(self) -> None:
        """Have another round made soon."""
        with self._state:
            self._rung = True
            self._state.notify_all()

    def stop(self) -> None:
        """Let the round under way be the last."""
        with self._state:
            self._stopping = True
            self._state.notify_all()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; whether it came in time."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def idle(self) -> bool:
        """Whether it rests, with nothing left to do, and nobody has woken it since."""
        with self._state:
            return self._resting is not None and self._resting.idle and not self._rung

    @property
    def stuck(self) -> bool:
        """Whether it rests after many failures in a row."""
        with self._state:
            return self._resting is not None and self._failures >= STUCK_AFTER

    @property
    def alive(self) -> bool:
        """Whether its thread runs; it ends only when even logging fails."""
        return self._thread.is_alive()

    def _run(self) -> None:
        begin_scope()
        while not self._stopping:
            self._pulse.beat()
            rest = self._round()
            self._pulse.rest(rest.seconds)
            with self._state:
                self._resting = rest
                self._state.wait_for(partial(self._roused, rest), rest.seconds)
                self._resting = None
                self._rung = False
        self._pulse.rest(None)

    def _roused(self, rest: Rest) -> bool:
        return self._stopping or (self._rung and not rest.deaf)

    def _round(self) -> Rest:
        try:
            rest = self._work()
        except TemporaryError as exc:
            return self._backoff(exc)
        except PermanentError as exc:
            self._log.error("reconcile_refused", reason=str(exc), retry_in_s=REFUSED_BACKOFF_S)
            self._failures += STUCK_AFTER
            return Rest(seconds=REFUSED_BACKOFF_S)
        except Exception:  # noqa: BLE001 - one model's bug must not stop the others
            self._failures += STUCK_AFTER
            self._log.exception("reconcile_crashed", retry_in_s=REFUSED_BACKOFF_S)
            return Rest(seconds=REFUSED_BACKOFF_S, deaf=True)
        self._failures = 0
        return rest

    def _backoff(self, error: TemporaryError) -> Rest:
        self._failures += 1
        longest_s = min(BACKOFF_S_MIN * 2 ** (self._failures - 1), BACKOFF_S_MAX)
        asked_s = min(error.retry_after_s or 0.0, RETRY_AFTER_S_MAX)
        pause_s = max(longest_s * random.uniform(0.5, 1.0), asked_s)  # noqa: S311 - jitter, no secret
        self._log.warning("reconcile_deferred", reason=str(error), retry_in_s=round(pause_s, 1), failures=self._failures)
        return Rest(seconds=pause_s, deaf=True)
