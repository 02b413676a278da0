"""How a request ends with a status other than 200, with the bodies of Google's APIs."""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from starlette.responses import JSONResponse, Response

from tests.emulators.kfp.refusal import RefusedError

_STATUSES = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip
_TYPE = "type.googleapis.com/google.rpc."


class GoogleRefusedError(RefusedError):
    """A request is refused in the form that all of Google's APIs have."""

    def __init__(self, status: int, text: str, *, details: Sequence[Mapping[str, Any]] = (), name: str = "") -> None:
        super().__init__(status, text)
        self._details = list(details)
        self._name = name or _STATUSES[status]

    def response(self) -> Response:
        """The reply."""
        error = {"code": self.status, "message": self.text, "status": self._name}
        return JSONResponse({"error": error | ({"details": self._details} if self._details else {})}, self.status)


def refuse(status: int, text: str) -> NoReturn:
    """The request is not done."""
    raise GoogleRefusedError(status, text)


def refusal(status: int, headers: Mapping[str, str]) -> Response:
    """A refusal on request of a test.

    Args:
        status: Of HTTP.
        headers: `X-Retry-Delay` becomes a `RetryInfo`, `X-Reason` an `ErrorInfo`, `X-Status` the name of the status; `X-Html`
            makes it a page of somebody who is not the API.
    """
    if "X-Html" in headers:
        return Response("<html><title>Error 404 (Not Found)!!1</title></html>", status, media_type="text/html")
    details: list[Mapping[str, Any]] = []
    if "X-Retry-Delay" in headers:
        details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": headers["X-Retry-Delay"]})
    if "X-Reason" in headers:
        details.append({"@type": f"{_TYPE}ErrorInfo", "reason": headers["X-Reason"], "domain": "googleapis.com"})
    error = GoogleRefusedError(status, "on request of a test", details=details, name=headers.get("X-Status", ""))
    response = error.response()
    response.headers.update({name: value for name, value in headers.items() if not name.startswith("X-")})
    return response
