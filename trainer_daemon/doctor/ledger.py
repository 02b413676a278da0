"""Checks of the ledger: whether its database opens, can be written and upgraded, and who uses it."""

from collections.abc import Callable
from datetime import datetime

from trainer_daemon.adapters.ledger.doctor import SERVER_MIN, LedgerState, ledger_state, missing_file
from trainer_daemon.config import Settings
from trainer_daemon.doctor.machine import writable
from trainer_daemon.policy.checks import Finding, ok, warning
from trainer_daemon.probing import Probe
from trainer_daemon.singleton import holder
from trainer_daemon.telemetry.redaction import redacted

Clock = Callable[[], datetime]


def ledger_probe(settings: Settings, clock: Clock) -> Probe:
    """Whether the ledger opens and can be written."""
    return Probe(name="ledger", look=lambda: _look(settings, clock))


def _look(settings: Settings, clock: Clock) -> Finding:
    url = settings.ledger
    if (path := missing_file(url)) is not None:
        with writable(path.parent):
            return ok(f"{path} does not exist yet; the daemon makes it")
    state = ledger_state(url, clock)
    schema = f"schema {state.version}" if state.version else "empty, the daemon makes its tables"
    if not state.server:
        return ok(f"{redacted(url)}: {schema}, writable, {_user(url)}")
    return judge_server(state, f"{redacted(url)}: {schema}, writable, {state.server}", orchestrator=settings.orchestrator.kind)


def _user(url: str) -> str:
    pid = holder(url)
    return "no daemon uses it" if pid is None else f"a daemon uses it (pid {pid})" if pid else "a daemon uses it"


def judge_server(state: LedgerState, found: str, *, orchestrator: str) -> Finding:
    """Whether a ledger on a server is as it should be.

    Args:
        state: What was seen of it.
        found: The same in words.
        orchestrator: Kind of the orchestrator.
    """
    if state.server_major < SERVER_MIN:
        return warning(found, f"use PostgreSQL {SERVER_MIN} or newer; nobody has tried this one")
    if orchestrator == "local":
        return warning(
            f'{found}; with orchestrator.kind = "local" runs exist only on the machine that started them',
            'start one daemon only, or have runs executed where every daemon sees them: orchestrator.kind = "kubeflow"',
        )
    return ok(found)
