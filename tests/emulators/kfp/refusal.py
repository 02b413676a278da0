"""How a request ends with a status other than 200, with the bodies of the real server."""

import re
from collections.abc import Mapping
from typing import NoReturn

from starlette.responses import JSONResponse, PlainTextResponse, Response

_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 429: 8, 500: 13, 503: 14}
_PROXY_TEXTS = {403: "RBAC: access denied", 429: "local_rate_limited", 503: "no healthy upstream"}

_CAUSE = re.compile(r"(?:\w+Error|Invalid input error|Already exist error): ")


class RefusedError(Exception):
    """A request is refused.

    Args:
        status: Of HTTP; the code of gRPC in the body follows from it.
        text: What the caller reads; a chain of causes, the last one innermost, as the server writes it.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text

    def response(self) -> Response:
        """The reply, as the server's gateway writes it."""
        code = _CODES[self.status]
        innermost = _CAUSE.split(self.text)[-1]
        detail = {"@type": "type.googleapis.com/google.rpc.Status", "code": code, "message": innermost}
        return JSONResponse({"error": self.text, "code": code, "message": self.text, "details": [detail]}, self.status)


class UploadRefusedError(RefusedError):
    """An upload is refused; uploads do not pass the gateway, so their errors look different."""

    def response(self) -> Response:
        """The reply, as the upload handler writes it."""
        return JSONResponse({"error_message": self.text, "error_details": self.text}, self.status)


def refuse_invalid(text: str) -> NoReturn:
    """The request can never succeed."""
    raise RefusedError(400, f"Invalid input error: {text}")


def refuse_missing(kind: str, name: str) -> NoReturn:
    """What the request names does not exist."""
    raise RefusedError(404, missing(kind, name))


def refuse_taken(kind: str, name: str) -> NoReturn:
    """The name is used already."""
    raise RefusedError(409, used(kind, name))


def refuse_unauthenticated(why: str) -> NoReturn:
    """Nobody, or somebody unknown, asks."""
    raise RefusedError(401, unauthenticated(why))


def missing(kind: str, name: str) -> str:
    """The server's words for what does not exist."""
    return f"ResourceNotFoundError: {kind} {name} not found."


def used(kind: str, name: str) -> str:
    """The server's words for a name that is used already."""
    return f"Already exist error: Failed to create a new {kind}. The name {name} already exists. Please specify a new name"


def unauthenticated(why: str) -> str:
    """The server's words for a caller that it does not know."""
    return f"Failed to authorize with API: Unauthenticated: Failed to check authorization: Unauthenticated: {why}"


def fault(status: int, headers: Mapping[str, str]) -> Response:
    """A refusal on request of a test; the statuses that a proxy in front of the server gives have its plain text."""
    if status in _PROXY_TEXTS:
        return PlainTextResponse(_PROXY_TEXTS[status], status, dict(headers))
    text = unauthenticated("token has expired") if status == 401 else "InternalServerError: on request of a test"
    response = RefusedError(status, text).response()
    response.headers.update(headers)
    return response
