"""How long a drill waits: as long as anything goes on, however slow the machine is. Asks for progress only when time is up."""

import time
from collections.abc import Callable, Hashable


class Patience:
    """Begins anew whenever something has happened since.

    Args:
        progress: Differs after anything that brings what is waited for nearer; not after what is tried again in vain.
        timeout_s: How long nothing may happen.
        monotonic: Seconds that only ever grow.
    """

    def __init__(
        self, progress: Callable[[], Hashable], timeout_s: float, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._progress = progress
        self._timeout_s = timeout_s
        self._monotonic = monotonic
        self._seen = progress()
        self._until = monotonic() + timeout_s

    @property
    def exhausted(self) -> bool:
        """Whether nothing has happened for so long."""
        if self._monotonic() <= self._until:
            return False
        before, self._seen = self._seen, self._progress()
        self._until = self._monotonic() + self._timeout_s
        return before == self._seen
