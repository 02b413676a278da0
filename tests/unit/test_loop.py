"""What a failed round is followed by."""

import threading
from typing import Any

import pytest

from trainer_daemon.errors import TemporaryError
from trainer_daemon.loop import BACKOFF_S_MIN, RETRY_AFTER_S_MAX, Loop, Rest


class Noted:
    """A log that is read while the loop rests."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.written = threading.Event()

    def warning(self, event: str, **fields: Any) -> None:  # noqa: ANN401 - of a log line
        """One more line."""
        self.lines.append({"event": event, **fields})
        self.written.set()


def first_pause_s(error: TemporaryError) -> float:
    """How long a loop rests after a round that failed like this."""
    log: Any = Noted()

    def fail() -> Rest:
        raise error

    loop = Loop("test", fail, log)
    loop.start()
    assert log.written.wait(240)
    loop.stop()
    assert loop.join(240)
    (line,) = log.lines
    assert (line["event"], line["failures"]) == ("reconcile_deferred", 1)
    return float(line["retry_in_s"])


@pytest.mark.parametrize(("asked_s", "pause_s"), [(17.0, 17.0), (86_400.0, RETRY_AFTER_S_MAX), (float("inf"), RETRY_AFTER_S_MAX)])
def test_service_is_left_alone_as_long_as_it_asks_but_never_longer_than_an_hour(asked_s: float, pause_s: float) -> None:
    """A mistake on the other side, or a clock that is wrong there, must not stop a model for days: nobody can wake it."""
    assert RETRY_AFTER_S_MAX == 3600.0
    assert first_pause_s(TemporaryError("throttled", retry_after_s=asked_s)) == pause_s


def test_service_that_asks_for_nothing_is_asked_again_soon() -> None:
    """Not all loops at the same moment."""
    assert 0.5 * BACKOFF_S_MIN <= first_pause_s(TemporaryError("away")) <= BACKOFF_S_MIN
