"""What goes wrong on purpose: by rates that are fixed at the start, and in outages that a test begins meanwhile."""

import random
from collections import Counter

import grpc

from tests.emulators.pubsub.rates import Rates
from tests.emulators.pubsub.refusal import RefusedError

_TEXTS = {
    grpc.StatusCode.PERMISSION_DENIED: "User not authorized to perform this action.",
    grpc.StatusCode.UNAVAILABLE: "The service was unable to fulfill your request. Please try again.",
}
_ONCE_MORE_WITHIN_S = 1.0


class Faults:
    """Decides for each message and each call whether it goes wrong.

    Attributes:
        refused: How many calls of a service were refused on request of a test; a stream that is ended counts as one.
    """

    def __init__(self, rates: Rates) -> None:
        self._rates = rates
        # a generator each: how often one is asked must not change what another one answers
        self._duplicating, self._dropping, self._expiring = (random.Random(f"{rates.seed}-{name}") for name in "abc")
        self._code, self._services, self._refused_until = grpc.StatusCode.OK, "", 0.0
        self._silent_until = 0.0
        self.refused: Counter[str] = Counter()

    def arrivals(self) -> list[float]:
        """In how many seconds each copy of a published message becomes visible; empty when the message is lost."""
        copies = [0.0]
        if self._duplicating.random() < self._rates.duplicate:
            copies.append(self._duplicating.uniform(0.0, _ONCE_MORE_WITHIN_S))
        return [] if self._dropping.random() < self._rates.drop else copies

    def lease_ends_at_once(self) -> bool:
        """Whether this delivery's lease is worth nothing."""
        return self._expiring.random() < self._rates.expire

    def refuse(self, code: grpc.StatusCode, *, service: str, until: float) -> None:
        """Answer every call of a service with a status; `service` "" is every service."""
        self._code, self._services, self._refused_until = code, service, until

    def silence(self, until: float) -> None:
        """Deliver nothing, on any stream."""
        self._silent_until = until

    def end(self) -> None:
        """End outages; the rates stay."""
        self._refused_until = self._silent_until = 0.0

    def check(self, service: str, now: float) -> None:
        """Let a call pass.

        Raises:
            RefusedError: Calls of this service are refused.
        """
        if now < self._refused_until and self._services in {"", service}:
            self.refused[service] += 1
            raise RefusedError(self._code, _TEXTS.get(self._code, f"{self._code.name} on request of a test"))

    def is_silent(self, now: float) -> bool:
        """Whether nothing is delivered."""
        return now < self._silent_until
