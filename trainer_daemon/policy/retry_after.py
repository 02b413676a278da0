"""How long a server asks to be left alone. Pure."""

from email.utils import parsedate_to_datetime


def retry_after_s(value: str, *, date: str) -> float | None:
    """Seconds to wait: a number of them, or until a moment by the server's own clock (RFC 9110, 10.2.3); None when nobody asks.

    Args:
        value: Of the header `Retry-After`; empty when there is none.
        date: Of the header `Date`.
    """
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        later = parsedate_to_datetime(value) - parsedate_to_datetime(date)
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, later.total_seconds())
