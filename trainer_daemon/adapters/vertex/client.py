"""The generated client and the HTTP below it, imported when the first call is made: that takes more than half a second.

`google.cloud.aiplatform.PipelineJob` would take another second and a hundred megabytes, and contacts further services before it
submits; `PipelineServiceClient` is what it is built on.
"""

import io
import time
from collections.abc import Iterator, Sequence
from typing import Any

import requests
from google.api_core.exceptions import from_http_response
from google.auth.credentials import Credentials
from google.auth.transport.requests import AuthorizedSession
from google.cloud.aiplatform_v1.services.pipeline_service import PipelineServiceClient
from google.cloud.aiplatform_v1.services.pipeline_service.transports.rest import PipelineServiceRestTransport
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ProtocolError, ReadTimeoutError

_CHUNK_BYTES = 1 << 16


class _Bounded(HTTPAdapter):  # type: ignore[misc] # the library has no types
    """Reads an answer completely within the time of its call; the time-out of the socket alone would let it trickle for ever."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__()
        self._timeout_s = timeout_s

    def send(self, request: Any, stream: bool = False, *args: Any, **options: Any) -> requests.Response:  # noqa: ANN401, ARG002, FBT001, FBT002 - as the base class
        deadline = time.monotonic() + self._timeout_s
        response = super().send(request, True, *args, **options)  # noqa: FBT003
        try:
            response.raw = io.BytesIO(b"".join(_chunks(response, deadline)))
        except ReadTimeoutError as exc:
            raise requests.ReadTimeout(exc, request=request) from exc
        except ProtocolError as exc:
            raise requests.ConnectionError(exc, request=request) from exc
        return response


def _chunks(response: requests.Response, deadline: float) -> Iterator[bytes]:
    while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
        yield chunk
        if time.monotonic() > deadline:
            response.close()
            msg = "the answer did not end in time"
            raise requests.ReadTimeout(msg)


class _Transport(PipelineServiceRestTransport):  # type: ignore[misc, unused-ignore] # as above
    def __init__(self, *, host: str, credentials: Credentials, timeout_s: float) -> None:
        super().__init__(host=host, credentials=credentials)
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, _Bounded(timeout_s))


def pipeline_client(*, host: str, credentials: Credentials, timeout_s: float) -> Any:  # noqa: ANN401 - a class of an untyped library
    """A client of one location.

    Args:
        host: With its scheme.
        credentials: Who we are.
        timeout_s: For one call.
    """
    return PipelineServiceClient(transport=_Transport(host=host, credentials=credentials, timeout_s=timeout_s))


def permitted(url: str, permissions: Sequence[str], *, credentials: Credentials, timeout_s: float) -> Sequence[str]:
    """Those of the permissions that the credentials have on a resource.

    Args:
        url: Of the resource's method `testIamPermissions`.
        permissions: What is wanted.
        credentials: Who we are.
        timeout_s: For the call.

    Raises:
        GoogleAPICallError: The service refuses.
    """
    with AuthorizedSession(credentials) as session:  # type: ignore[no-untyped-call, unused-ignore]
        answer = session.post(url, json={"permissions": list(permissions)}, timeout=timeout_s)
    if not answer.ok:
        raise from_http_response(answer)  # type: ignore[no-untyped-call, unused-ignore]
    return [str(permission) for permission in answer.json().get("permissions", ())]
