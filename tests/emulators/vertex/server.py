"""The server: builds its parts, serves, and lets the jobs advance meanwhile."""

import asyncio
import time
from pathlib import Path

from starlette.applications import Starlette
from starlette.types import ASGIApp

from tests.emulators.kfp.auth import Gate
from tests.emulators.kfp.executors import Executors
from tests.emulators.kfp.faults import Faults
from tests.emulators.kfp.front import Front, api_routes
from tests.emulators.kfp.server import Settings, serve
from tests.emulators.kfp.store import Store
from tests.emulators.kfp.workflows import Workflows
from tests.emulators.vertex.accounts import Accounts
from tests.emulators.vertex.control import Control
from tests.emulators.vertex.jobs import Jobs
from tests.emulators.vertex.refusal import refusal
from tests.emulators.vertex.views import stamp

PREFIX = "/v1"


def run(host: str, port: int, state: Path) -> None:
    """Serve until the process is ended."""
    state.mkdir(parents=True, exist_ok=True)
    store = Store(state / "vertex.sqlite")
    workflows = Workflows(store, Executors(state), time.time, stamp=stamp)
    settings = Settings(host=host, port=port, state=state, is_multi_user=False, certificate=None, key=None)
    try:
        asyncio.run(serve(settings, _front(store, workflows), workflows))
    finally:
        store.close()


def _front(store: Store, workflows: Workflows) -> ASGIApp:
    faults, jobs, accounts = Faults(time.time), Jobs(store, workflows, time.time), Accounts(store)
    control = Control(store, faults, workflows=workflows, now=time.time)
    control.jobs = jobs
    api = Starlette(
        routes=[
            *api_routes({**jobs.routes(), **accounts.iam_routes()}, store, PREFIX),
            *api_routes(accounts.storage_routes(), store, "/storage/v1"),
        ]
    )
    return Front(api, control=control, gate=Gate(store), faults=faults, store=store, prefix=PREFIX, refusal=refusal)
