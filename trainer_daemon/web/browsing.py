"""Where the pages for people are, and what a browser is told about them; they are made one at a time, beside the server."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FOLDER = Path(__file__).parent / "static"
STATIC = {"style.css": "text/css", "calm.svg": "image/svg+xml", "waits.svg": "image/svg+xml"}
PAGES = ("/", "/runs", "/runs/{word}", "/drops", "/drops/{word}", "/champions")
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'"
)
"""No script, nothing inline, nothing from elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """An answer to somebody who looks.

    Attributes:
        refresh_s: After which the browser asks again; None for not by itself.
    """

    html: str
    status: HTTPStatus
    refresh_s: int | None


class PageSource(Protocol):
    """Makes pages."""

    def get(self, path: str, query: Mapping[str, str]) -> Page:
        """The page at an address."""


def page_routes(make_pages: Callable[[], PageSource]) -> list[Route]:
    """The addresses of all pages, and of what they are dressed with.

    Args:
        make_pages: Called, and free to import what it needs, when somebody looks for the first time.
    """
    browsing = _Browsing(make_pages)
    return [*(Route(path, browsing.page) for path in PAGES), Route("/static/{name}", _static)]


class _Browsing:
    def __init__(self, make_pages: Callable[[], PageSource]) -> None:
        self._make_pages = make_pages
        self._turn = asyncio.Semaphore(1)  # whoever looks, and how often: one page at a time is enough work beside the daemon's

    @cached_property
    def _pages(self) -> PageSource:
        return self._make_pages()

    async def page(self, request: Request) -> Response:
        async with self._turn:
            made = await run_in_threadpool(lambda: self._pages.get(request.url.path, dict(request.query_params)))
        # HTTP's own word for it: a page that says so itself could not be told to stop by whoever reads it aloud
        refresh = {"refresh": str(made.refresh_s)} if made.refresh_s else {}
        return Response(
            made.html.encode("utf-8", "replace"),
            status_code=made.status,
            headers={"content-security-policy": POLICY, **refresh},
            media_type="text/html",
        )


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in STATIC:
        return Response("there is no such file", status_code=404, media_type="text/plain")
    caching = {"cache-control": "public, max-age=31536000, immutable"}  # its address changes with its content
    return Response((FOLDER / name).read_bytes(), media_type=STATIC[name], headers=caching)
