"""How far this machine's clock is from a server's, by the Date header that every HTTP answer carries."""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from trainer_daemon.errors import PermanentError, TemporaryError

_HALF_OF_A_SECOND = timedelta(seconds=0.5)
"""The header counts whole seconds, so on average it is that late."""


def lead_s(url: str, clock: Callable[[], datetime], *, timeout_s: float, ca_file: str = "") -> float:
    """By how many seconds this machine's clock is ahead of a server's; exact to a second or so.

    Args:
        url: `http://` or `https://`; what it answers does not matter.
        clock: Now, in UTC.
        timeout_s: For connecting and for the answer, each.
        ca_file: Certificates that the server's is checked against; empty for the usual ones.

    Raises:
        TemporaryError: There is no answer.
        PermanentError: The answer does not say when it was given.
    """
    before = clock()
    date = _date(url, timeout_s, ca_file)
    after = clock()
    try:
        theirs = parsedate_to_datetime(date)
    except ValueError as exc:
        msg = f"{url} does not say what time it is"
        raise PermanentError(msg) from exc
    return (before + (after - before) / 2 - theirs.astimezone(UTC) - _HALF_OF_A_SECOND).total_seconds()


def _date(url: str, timeout_s: float, ca_file: str) -> str:
    """The header, empty when there is none; an error's answer has one as well."""
    try:
        context = ssl.create_default_context(cafile=ca_file) if ca_file else None
        with urlopen(Request(url), timeout=timeout_s, context=context) as answer:  # noqa: S310 - the scheme was checked with the configuration
            return str(answer.headers.get("Date", ""))
    except HTTPError as exc:
        with exc:
            return str(exc.headers.get("Date", ""))
    except (OSError, HTTPException) as exc:
        msg = f"{url} does not answer: {exc}"
        raise TemporaryError(msg) from exc
