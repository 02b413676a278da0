"""The application: every request is logged, may go wrong on purpose, passes the gate, and is handed to its service."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.emulators.kfp.auth import Gate, Visit
from tests.emulators.kfp.call import Call, Handler, Routes
from tests.emulators.kfp.connection import cut
from tests.emulators.kfp.control import ControlBase
from tests.emulators.kfp.faults import Faults, Kind
from tests.emulators.kfp.refusal import RefusedError, fault, refuse_invalid
from tests.emulators.kfp.store import Store

PREFIX = "/apis/v2beta1"
CONTROL = "/control"
VERSION = "2.15.0"
"""That the server says it has."""
Endpoint = Callable[[Request], Awaitable[Response]]


Refusal = Callable[[int, Mapping[str, str]], Response]
"""How a request is refused on request of a test, by a status and headers."""


def application(routes: Routes, store: Store) -> Starlette:
    """The API itself, without faults and gate."""
    pages = [Route("/apis/v1beta1/healthz", _version), Route("/", _dashboard)]
    return Starlette(routes=[*api_routes(routes, store, PREFIX), *pages])


def api_routes(routes: Routes, store: Store, prefix: str) -> list[Route]:
    """The routes of an API below a prefix."""
    return [Route(prefix + path, _endpoint(handler, store), methods=[method]) for (method, path), handler in routes.items()]


class Front:
    """What stands before the API.

    Args:
        api: The API itself.
        control: What tests ask.
        gate: Who may ask.
        faults: What goes wrong on purpose.
        store: Where requests are logged.
        prefix: What the API is below.
        refusal: How a request is refused on request of a test.
    """

    def __init__(
        self,
        api: ASGIApp,
        *,
        control: ControlBase,
        gate: Gate,
        faults: Faults,
        store: Store,
        prefix: str = PREFIX,
        refusal: Refusal = fault,
    ) -> None:
        self._prefix = prefix
        self._refusal = refusal
        self._api = api
        self._commands = control.commands()
        self._gate = gate
        self._faults = faults
        self._store = store

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        path = scope["path"]
        if path.startswith(CONTROL):
            await (await self._control(path, Request(scope, receive)))(scope, receive, send)
            return
        number = self._log(scope)

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._note(number, message["status"])
            await send(message)

        await self._answer(scope, receive, noting)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._faults.take(scope["method"], scope["path"].removeprefix(self._prefix))
        match found.kind if found else None:
            case Kind.REFUSE:
                assert found is not None
                await self._refusal(found.status, found.headers)(scope, receive, send)
            case Kind.CUT:
                await cut(scope, receive)
            case Kind.LOSE_REPLY:
                await self._pass(scope, receive, _nowhere)
                await cut(scope, receive)
            case Kind.DELAY:
                assert found is not None
                complete = await _received(scope, receive)
                await self._delay(found.delay_s)
                await self._pass(scope, complete, send)
            case None:
                await self._pass(scope, receive, send)

    async def _delay(self, seconds: float) -> None:
        """Let so much time pass, unless all faults are ended before."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._faults.ended.wait(), seconds)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_call = scope["path"].startswith(self._prefix)
        receive = receive if is_call else await _received(scope, receive)
        request = Request(scope, receive)
        visit = Visit(
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"].decode(),
            headers=dict(request.headers),
            body=b"" if is_call else await request.body(),
        )
        try:
            response = self._gate.check(visit)
        except RefusedError as exc:
            response = exc.response()
        await (response or self._api)(scope, receive, send)

    async def _control(self, path: str, request: Request) -> Response:
        answer = self._commands[path.removeprefix(f"{CONTROL}/")](**await request.json())
        return JSONResponse(answer)

    def _log(self, scope: Scope) -> int:
        values = (time.time(), scope["method"], scope["path"], scope["query_string"].decode())
        with self._store.transaction():
            done = self._store.database.execute("insert into request (time, method, path, query) values (?, ?, ?, ?)", values)
        return int(done.lastrowid or 0)

    def _note(self, number: int, status: int) -> None:
        with self._store.transaction():
            self._store.database.execute("update request set status = ? where number = ?", (status, number))


def _endpoint(handler: Handler, store: Store) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        try:
            call = await _call(request)
            with store.transaction():
                return JSONResponse(handler(call))
        except RefusedError as exc:
            return exc.response()

    return endpoint


async def _version(_request: Request) -> Response:
    """What only the older API tells."""
    return JSONResponse({"commit_sha": "unknown", "tag_name": VERSION, "multi_user": False})


async def _dashboard(_request: Request) -> Response:
    """Where a browser arrives after it has logged in."""
    return HTMLResponse("<!DOCTYPE html><html><head><title>Kubeflow Central Dashboard</title></head></html>")


async def _call(request: Request) -> Call:
    content_type = request.headers.get("content-type", "")
    raw = await request.body()
    is_upload = content_type.startswith("multipart/")
    return Call(
        path=request.path_params,
        query=dict(request.query_params),
        body=_json(raw) if raw and not is_upload else {},
        upload=_file(content_type, raw) if is_upload else None,
    )


def _json(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError as exc:
        refuse_invalid(f"parse error: {exc}")
    return body if isinstance(body, dict) else {}


def _file(content_type: str, raw: bytes) -> bytes | None:
    """The part `uploadfile` of a multipart body."""
    message = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + raw)
    for part in message.iter_parts():
        if part.get_param("name", header="content-disposition") == "uploadfile":
            content = part.get_payload(decode=True)
            return content if isinstance(content, bytes) else None
    return None


async def _received(scope: Scope, receive: Receive) -> Receive:
    """Read a request to its end, so that it can be done also when the client goes away meanwhile."""
    body = await Request(scope, receive).body()

    async def again() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _nowhere(_message: Message) -> None:
    """Where lost replies go."""
