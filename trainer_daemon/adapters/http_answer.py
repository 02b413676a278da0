"""Whether an HTTP server answers at all."""

from http import HTTPStatus
from http.client import HTTPException
from ssl import SSLCertVerificationError
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from trainer_daemon.errors import TemporaryError
from trainer_daemon.telemetry.redaction import redacted


def require_answer(url: str, *, timeout_s: float) -> None:
    """Return when a server answers; somebody who is turned away has reached it all the same.

    Args:
        url: `http://` or `https://`.
        timeout_s: For connecting and for the answer, each.

    Raises:
        TemporaryError: There is no answer, or one that says that the server is not well.
    """
    try:
        with urlopen(Request(url), timeout=timeout_s):  # noqa: S310 - the scheme was checked with the configuration
            return
    except HTTPError as exc:
        with exc:
            if exc.code < HTTPStatus.INTERNAL_SERVER_ERROR:
                return
            msg = f"{redacted(url)} answers {exc.code}"
            raise TemporaryError(msg) from exc
    except (OSError, HTTPException) as exc:
        if isinstance(getattr(exc, "reason", None), SSLCertVerificationError):  # it has shown one; who may check it, does
            return
        msg = f"{redacted(url)} does not answer: {exc}"
        raise TemporaryError(msg) from exc
