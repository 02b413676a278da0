"""Checks of this machine's clock against those of the servers that it works with."""

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from urllib.parse import urlsplit

from trainer_daemon.adapters.ledger.doctor import ledger_state
from trainer_daemon.adapters.server_clock import lead_s
from trainer_daemon.config import Settings
from trainer_daemon.doctor.machine import STORAGE_VARIABLE
from trainer_daemon.errors import PermanentError, TemporaryError
from trainer_daemon.policy.checks import Finding, failed, ok, skipped, warning
from trainer_daemon.probing import Probe

CLOUD_STORAGE = "https://storage.googleapis.com"
LEAD_S_LOW, LEAD_S_MAX = 5.0, 60.0
_ANSWER_S_MAX = 4.0


def clock_probes(settings: Settings, clock: Callable[[], datetime], environ: Mapping[str, str] = os.environ) -> tuple[Probe, ...]:
    """One for each server that tells its time; a single one that is skipped when there is none."""
    looks = [partial(_look, url, clock) for url in _servers(settings, environ)]
    if settings.orchestrator.kind == "kubeflow":
        url, ca_file = f"{settings.orchestrator.api_host}/apis/v2beta1/healthz", settings.orchestrator.ca_file
        looks.append(partial(_look, url, clock, ca_file))
    elif settings.orchestrator.kind == "vertex":
        looks.append(partial(_look, settings.orchestrator.api_host, clock))
    if settings.ledger.startswith("postgresql"):
        looks.append(partial(_look_at_ledger, settings.ledger, clock))
    if not looks:
        return (Probe(name="clock", look=lambda: skipped("no server is asked that could tell the time")),)
    return tuple(Probe(name="clock", look=look) for look in looks)


def _servers(settings: Settings, environ: Mapping[str, str]) -> Iterator[str]:
    if settings.mlflow.tracking_uri.startswith(("http://", "https://")):
        yield _without_user(settings.mlflow.tracking_uri)
    if any(model.on_google for model in settings.models):
        emulator = environ.get(STORAGE_VARIABLE, "")
        yield emulator if "://" in emulator else f"http://{emulator}" if emulator else CLOUD_STORAGE


def _without_user(uri: str) -> str:
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], path="/health", query="").geturl()


def _look(url: str, clock: Callable[[], datetime], ca_file: str = "") -> Finding:
    try:
        lead = lead_s(url, clock, timeout_s=_ANSWER_S_MAX, ca_file=ca_file)
    except (TemporaryError, PermanentError) as exc:
        return skipped(str(exc))
    return judge_lead(lead, urlsplit(url).netloc)


def _look_at_ledger(url: str, clock: Callable[[], datetime]) -> Finding:
    try:
        state = ledger_state(url, clock)
    except (TemporaryError, PermanentError):
        return skipped("the ledger's server cannot be asked, see above")
    return judge_lead(-state.clock_ahead_s, urlsplit(url).netloc.rpartition("@")[2] or state.server)


def judge_lead(seconds: float, server: str) -> Finding:
    """Whether this machine's clock may go on like this.

    Args:
        seconds: By how much it is ahead of the server's; negative when it is behind.
        server: Whose clock it was compared with.
    """
    direction = "ahead of" if seconds > 0 else "behind"
    found = f"{abs(seconds):.0f} s {direction} {server}"
    fix = "set this machine's clock: sudo timedatectl set-ntp true"
    if abs(seconds) > LEAD_S_MAX:
        return failed(found, fix)
    return warning(found, fix) if abs(seconds) > LEAD_S_LOW else ok(f"agrees with {server}")
