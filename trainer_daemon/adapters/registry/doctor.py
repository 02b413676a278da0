"""Checks of MLflow: whether it answers, whether the registry can be written, and who else can; calls of MLflow by the worker."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from trainer_daemon.adapters.registry.moving import CHAMPION
from trainer_daemon.adapters.registry.process import START_TIMEOUT_S, Worker
from trainer_daemon.adapters.registry.strangers import judge_file, judge_server
from trainer_daemon.errors import PermanentError, TemporaryError
from trainer_daemon.policy.alias_moves import AliasPast, judge_alias
from trainer_daemon.policy.checks import Finding, failed, ok, skipped
from trainer_daemon.probing import Probe
from trainer_daemon.telemetry.redaction import redacted

if TYPE_CHECKING:
    from datetime import datetime

    from trainer_daemon.config import MlflowSettings

_IDLE_S = 30.0
_CALL_S_MAX = 20.0
_DEADLINE_S = START_TIMEOUT_S + _CALL_S_MAX + 10
_SQLITE = "sqlite:///"
_WRONG_NAME = "Invalid Host header"


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What the registry is held against.

    Attributes:
        aliases: What the ledger knows of a model's alias.
        clock: Now, in UTC.
    """

    aliases: Callable[[str], AliasPast]
    clock: "Callable[[], datetime]"


def registry_probes(settings: "MlflowSettings", models: Sequence[str], past: Past, resources: ExitStack) -> tuple[Probe, ...]:
    """Whether MLflow answers, who can write it, and for each model whether we can and whether others have.

    Args:
        settings: Where MLflow is; the start of the worker may take longer than a call.
        models: Names of the registered models.
        past: What their aliases are held against.
        resources: Ends the worker.
    """
    path = _file(settings.tracking_uri)
    if path is not None and not path.exists():
        return (Probe(name="mlflow", look=lambda: ok(f"{path} does not exist yet; it is made at the first use")),)
    call_timeout_s = min(settings.call_timeout_s, _CALL_S_MAX)
    worker = Worker(tracking_uri=settings.tracking_uri, call_timeout_s=call_timeout_s, idle_s=_IDLE_S)
    resources.callback(worker.close)
    checks = _Checks(worker, redacted(settings.tracking_uri))
    reachable = Probe(name="mlflow", look=checks.look, deadline_s=_DEADLINE_S)
    strangers = Probe(
        name="strangers",
        look=lambda: judge_file(path) if path else judge_server(settings.tracking_uri),
        needs=(reachable,),
        deadline_s=_DEADLINE_S,
    )
    written = [probe for model in models for probe in (checks.writing(model, reachable), checks.alias(model, past, reachable))]
    return reachable, strangers, *written


def _file(tracking_uri: str) -> Path | None:
    """The SQLite file that the URI names; None for a server."""
    if not tracking_uri.startswith(_SQLITE):
        return None
    return Path(tracking_uri.removeprefix(_SQLITE).partition("?")[0])


class _Checks:
    def __init__(self, worker: Worker, where: str) -> None:
        self._worker = worker
        self._where = where

    def look(self) -> Finding:
        try:
            self._worker.call("look")
        except TemporaryError as exc:
            return failed(f"{self._where} does not answer: {exc}", f"see that MLflow is up there: {self._trying()}")
        except PermanentError as exc:
            return failed(f"{self._where} refuses: {exc}", self._named() if _WRONG_NAME in str(exc) else _ACCESS)
        return ok(f"{self._where} answers")

    def _named(self) -> str:
        """By itself MLflow answers to `localhost` and to addresses of private networks only, not to the name of a Service."""
        name = urlsplit(self._where).netloc.rpartition("@")[2]
        return f"let MLflow answer to this name, and to its others: mlflow server --allowed-hosts {name},…"

    def _trying(self) -> str:
        return "look at the file" if self._where.startswith(_SQLITE) else f"curl -i {self._where.rstrip('/')}/health"

    def writing(self, model: str, reachable: Probe) -> Probe:
        """Whether versions of a model can be registered and its alias moved."""
        return Probe(name="registry", model=model, look=lambda: self._write(model), needs=(reachable,), deadline_s=_DEADLINE_S)

    def alias(self, model: str, past: Past, reachable: Probe) -> Probe:
        """Whether somebody else moves a model's alias."""

        def look() -> Finding:
            try:
                known = past.aliases(model)
            except (TemporaryError, PermanentError) as exc:
                return skipped(f"there is nothing to hold the alias against: {exc}")
            aliases = self._worker.call("aliases", model=model)["aliases"]
            return judge_alias(known, aliases.get(CHAMPION, ""), past.clock())

        return Probe(name="alias", model=model, look=look, needs=(reachable,), deadline_s=_DEADLINE_S)

    def _write(self, model: str) -> Finding:
        try:
            written = self._worker.call("try_writing", model=model)["written"]
        except (TemporaryError, PermanentError) as exc:
            return failed(f"{self._where} cannot be written: {exc}", _ACCESS)
        if not written:
            return skipped("MLflow holds nothing yet that could be written to without leaving something behind")
        return ok(f"writable: a tag was set on {written} and deleted again")


_ACCESS = (
    "allow it to the daemon's user there; who that is say MLFLOW_TRACKING_USERNAME with MLFLOW_TRACKING_PASSWORD, "
    "or MLFLOW_TRACKING_TOKEN"
)
