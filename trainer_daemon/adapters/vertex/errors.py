"""What the client raises, as one of our errors: the one place that knows how Google's services refuse."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import requests
from google.api_core.exceptions import GoogleAPICallError
from google.auth import exceptions as auth
from google.protobuf.json_format import ParseError

from trainer_daemon.errors import TemporaryError
from trainer_daemon.policy.retry_after import retry_after_s
from trainer_daemon.remote.errors import Refused, Unauthenticated
from trainer_daemon.remote.runs import one_line

_TEMPORARY = frozenset({408, 425, 429, 499, *range(500, 600)})
_NOT_THE_RUNS_FAULT = frozenset({"ABORTED", "FAILED_PRECONDITION"})
"""Somebody else was faster; the project is not ready: in a new one Google makes its service agents for minutes."""
_RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"
_ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)s")
_STRANGE = (AttributeError, RecursionError, TypeError, ValueError)
"""What the libraries raise of JSON that is no answer of the service: a list where an object belongs, or too deep a one."""


class Forbidden(Unauthenticated):
    """The account is known and lacks a permission, or the API is not enabled: no run is to blame, a person has to act.

    Args:
        message: What was asked and what came back.
        reason: Google's own constant for it, such as `SERVICE_DISABLED`; empty when it has none.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


@contextmanager
def translated(what: str, *, host: str, timeout_s: float) -> Iterator[None]:
    """Turn whatever a call raises into our two kinds of error.

    Args:
        what: Begins the sentence.
        host: Where the service is.
        timeout_s: How long the call might take.
    """
    try:
        yield
    except GoogleAPICallError as exc:
        raise _refusal(what, exc) from exc
    except auth.RefreshError as exc:
        raise _turned_away(what, str(exc.args[0] if exc.args else exc)) from exc
    except (requests.Timeout, TimeoutError) as exc:
        msg = f"{host} does not answer within {timeout_s:g} s"
        raise TemporaryError(msg) from exc
    except (requests.RequestException, auth.TransportError, OSError) as exc:
        msg = f"cannot reach Vertex AI at {host}: {one_line(str(exc))}; is orchestrator.location right?"
        raise TemporaryError(msg) from exc
    except auth.GoogleAuthError as exc:
        raise _turned_away(what, str(exc)) from exc
    except (ParseError, *_STRANGE) as exc:
        msg = f"cannot {what}: the answer is not one of Vertex AI; is orchestrator.location right?"
        raise TemporaryError(msg) from exc


def _refusal(what: str, error: GoogleAPICallError) -> Exception:
    document = _document(error)
    status = int(error.code or 0)
    if document is None and status not in _TEMPORARY:  # what a proxy says, says nothing about a run
        msg = f"cannot {what}: {status}, and that was not Vertex AI; is orchestrator.location right?"
        return TemporaryError(msg)
    words = one_line(str((document or {}).get("message") or error.message))
    told = f"cannot {what}: {status} {words}".rstrip()
    if status == HTTPStatus.UNAUTHORIZED:
        return _turned_away(what, words)
    if status == HTTPStatus.FORBIDDEN:
        return Forbidden(f"Vertex AI does not permit it: {told}", reason=_detail(document, _ERROR_INFO).get("reason", ""))
    if status in _TEMPORARY or (document or {}).get("status") in _NOT_THE_RUNS_FAULT:
        return TemporaryError(told, retry_after_s=_asked_s(error, document))
    return Refused(told, status=status)


def _turned_away(what: str, words: str) -> Unauthenticated:
    msg = f"Vertex AI does not take the daemon's credential: cannot {what}: {one_line(words)}; renew the application default ones"
    return Unauthenticated(msg)


def _document(error: GoogleAPICallError) -> Mapping[str, Any] | None:
    """The body in the form of Google's APIs; None when somebody else answered."""
    try:
        document = error.response.json()["error"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return document if isinstance(document, dict) else None


def _asked_s(error: GoogleAPICallError, document: Mapping[str, Any] | None) -> float | None:
    """Seconds to wait, by `google.rpc.RetryInfo` or by the header."""
    if hint := _SECONDS.fullmatch(str(_detail(document, _RETRY_INFO).get("retryDelay", ""))):
        return float(hint[1])
    headers = error.response.headers
    return retry_after_s(headers.get("Retry-After", ""), date=headers.get("Date", ""))


def _detail(document: Mapping[str, Any] | None, kind: str) -> Mapping[str, Any]:
    details = (document or {}).get("details") or ()
    return next((detail for detail in details if isinstance(detail, dict) and detail.get("@type") == kind), {})
