"""The server: builds its parts, serves, and lets the workflows advance meanwhile."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from starlette.types import ASGIApp

from tests.emulators.kfp.auth import Gate
from tests.emulators.kfp.connection import CuttableProtocol
from tests.emulators.kfp.control import Control
from tests.emulators.kfp.executors import Executors
from tests.emulators.kfp.experiments import Experiments
from tests.emulators.kfp.faults import Faults
from tests.emulators.kfp.front import Front, application
from tests.emulators.kfp.pipelines import Pipelines
from tests.emulators.kfp.recurring import RecurringRuns
from tests.emulators.kfp.runs import Runs
from tests.emulators.kfp.scopes import Scopes
from tests.emulators.kfp.store import Document, Store
from tests.emulators.kfp.workflows import Workflows

if TYPE_CHECKING:
    from tests.emulators.kfp.call import Routes

_LOOK_S = 0.05
_IDLE_S = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the server runs.

    Attributes:
        state: The folder of all that survives it.
        certificate: PEM file; with `key` the server speaks https.
    """

    host: str
    port: int
    state: Path
    is_multi_user: bool
    certificate: Path | None
    key: Path | None


def run(settings: Settings) -> None:
    """Serve until the process is ended."""
    settings.state.mkdir(parents=True, exist_ok=True)
    store = Store(settings.state / "kfp.sqlite")
    workflows = Workflows(store, Executors(settings.state), time.time)
    try:
        asyncio.run(serve(settings, _front(settings, store, workflows), workflows))
    finally:
        store.close()


def _front(settings: Settings, store: Store, workflows: Workflows) -> ASGIApp:
    scopes, faults = Scopes(is_multi_user=settings.is_multi_user), Faults(time.time)
    experiments, pipelines = Experiments(store, scopes, time.time), Pipelines(store, scopes, time.time)
    runs = Runs(store, workflows, experiments=experiments, pipelines=pipelines, scopes=scopes, now=time.time)
    recurring = RecurringRuns(store, experiments=experiments, pipelines=pipelines, scopes=scopes, now=time.time)
    routes: Routes = {
        ("GET", "/healthz"): lambda _call: _health(settings),
        **experiments.routes(),
        **pipelines.routes(),
        **runs.routes(),
        **recurring.routes(),
    }
    control = Control(store, faults, workflows=workflows, experiments=experiments, now=time.time)
    return Front(application(routes, store), control=control, gate=Gate(store), faults=faults, store=store)


def _health(settings: Settings) -> Document:
    return {"multi_user": True} if settings.is_multi_user else {}


async def serve(settings: Settings, front: ASGIApp, workflows: Workflows) -> None:
    """Serve and execute until the process is ended."""
    config = uvicorn.Config(
        front,
        host=settings.host,
        port=settings.port,
        http=CuttableProtocol,
        lifespan="off",
        log_level="warning",
        timeout_keep_alive=_IDLE_S,
        timeout_graceful_shutdown=1,
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.key,
    )
    async with _advancing(workflows):
        await uvicorn.Server(config).serve()


@asynccontextmanager
async def _advancing(workflows: Workflows) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(_advance(workflows))
        yield
        task.cancel()


async def _advance(workflows: Workflows) -> None:
    while True:
        workflows.advance()
        await asyncio.sleep(_LOOK_S)
