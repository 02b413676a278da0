"""What an endpoint's answer means for a notification, and when it is tried again. Pure."""

from dataclasses import dataclass
from enum import StrEnum

BACKOFF_S_MIN, BACKOFF_S_MAX = 2.0, 900.0
RETRY_AFTER_S_MAX = 86400.0
"""What an endpoint may ask for at most."""
_BUSY = frozenset({408, 425, 429})
_MENDABLE = frozenset({401, 403, 404, 407})
"""It is not the notification that is refused: a secret, an address or a permission is wrong, and somebody will mend it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What an endpoint answered.

    Attributes:
        retry_after_s: How long it asks to be left alone; None when it does not say.
        text: The beginning of what it says, on one line.
    """

    status: int
    retry_after_s: float | None = None
    text: str = ""

    @property
    def sentence(self) -> str:
        """For the log."""
        return f"it answered {self.status}{f' {self.text}' if self.text else ''}"


class Reception(StrEnum):
    """What became of one delivery."""

    DELIVERED = "delivered"
    FAILED = "failed"
    REFUSED = "refused"


def reception(status: int) -> Reception:
    """What an HTTP status means.

    2xx took it. 5xx, 408, 425 and 429 may go by; 401, 403, 404, 407 and redirects, which are not followed, are mended by
    somebody: it is tried again. Any other 4xx, 410 too, would refuse the same notification for ever.
    """
    if 200 <= status < 300:  # noqa: PLR2004 - the class of statuses that succeed
        return Reception.DELIVERED
    if 400 <= status < 500 and status not in _BUSY | _MENDABLE:  # noqa: PLR2004 - the class of what the client did wrong
        return Reception.REFUSED
    return Reception.FAILED


def backoff_s(attempts: int, *, chance: float, retry_after_s: float | None = None) -> float:
    """Seconds until the next attempt: doubling, between half and all of it, and not before the endpoint wants it.

    Args:
        attempts: How many have failed; at least 1.
        chance: From 0 to 1, drawn by the caller, so that endpoints are not asked in step.
        retry_after_s: What the endpoint asked for.
    """
    longest_s = min(BACKOFF_S_MIN * 2.0 ** min(attempts - 1, 30), BACKOFF_S_MAX)
    return max(longest_s * (0.5 + chance / 2), min(retry_after_s or 0.0, RETRY_AFTER_S_MAX))
