"""Whether a service takes our credential: said when that changes, however many calls are turned away meanwhile."""

import threading

from structlog.typing import FilteringBoundLogger


class Admission:
    """What was answered last.

    Args:
        log: The daemon's.
    """

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._is_refused = False

    def refused(self, reason: str) -> None:
        """A call was turned away."""
        if self._is_news(is_refused=True):
            self._log.error("credential_refused", reason=reason)

    def granted(self) -> None:
        """A call was admitted."""
        if self._is_news(is_refused=False):
            self._log.info("credential_accepted")

    def _is_news(self, *, is_refused: bool) -> bool:
        with self._lock:
            before, self._is_refused = self._is_refused, is_refused
        return before != is_refused
