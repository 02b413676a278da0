"""What is answered at which address: health for Kubernetes, metrics for Prometheus, pages for people.

Health is answered from memory, so no service can hold it up.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trainer_daemon.healthcheck import LIVE_PATH, READY_PATH
from trainer_daemon.telemetry.vitals import Phase, Vitals

METRICS_PATH = "/metrics"
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
}
"""Of every answer that does not say otherwise itself."""


def make_app(vitals: Vitals, registry: CollectorRegistry, pages: Sequence[BaseRoute] = ()) -> Starlette:
    """The application that answers.

    Args:
        vitals: What makes progress and what can be reached.
        registry: The metrics.
        pages: What else there is, see `browsing`.
    """

    async def live(_: Request) -> Response:
        late = {name: f"{seconds:.0f} s late" if seconds else "" for name, seconds in vitals.lateness().items()}
        return _health(("alive", "stuck"), "loops", late)

    async def ready(_: Request) -> Response:
        daemon = "" if vitals.phase is Phase.RUNNING else f"is {vitals.phase}"
        return _health(("ready", "not ready"), "parts", {"daemon": daemon, **vitals.problems()})

    def metrics(request: Request) -> Response:  # not async: reading the ledger may take a while, and must not hold up the others
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), media_type=content_type)

    routes = [Route(LIVE_PATH, live), Route(READY_PATH, ready), Route(METRICS_PATH, metrics), *pages]
    return Starlette(routes=routes, middleware=[Middleware(_Headers)])


def _health(words: tuple[str, str], what: str, problems: Mapping[str, str]) -> Response:
    """The first word and 200 when nothing has a problem, otherwise the second and 503; and each thing by name."""
    is_well = not any(problems.values())
    document = {"status": words[0] if is_well else words[1], what: {name: said or "ok" for name, said in problems.items()}}
    return JSONResponse(document, status_code=HTTPStatus.OK if is_well else HTTPStatus.SERVICE_UNAVAILABLE)


class _Headers:
    """Adds what every answer says of itself, also an error's."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                known = {name for name, _ in message["headers"]}
                added = ((name.encode(), value.encode()) for name, value in HEADERS.items())
                message["headers"] = [*message["headers"], *(pair for pair in added if pair[0] not in known)]
            await send(message)

        await self._app(scope, receive, sent)
