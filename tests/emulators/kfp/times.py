"""Times as the API writes them: whole seconds in UTC, and 1970 for what has not happened."""

from datetime import UTC, datetime

NEVER = "1970-01-01T00:00:00Z"


def timestamp(seconds: float) -> str:
    """Seconds since 1970 as text."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def same_form(text: str) -> str:
    """A time in any ISO form, written like all others.

    Raises:
        ValueError: It is none.
    """
    return timestamp(datetime.fromisoformat(text).timestamp())
