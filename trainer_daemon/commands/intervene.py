"""`promote` and `rollback`: write down whom a person wants to be champion; the daemon is what moves the alias."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import typer

from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.adapters.ledger.history import History
from trainer_daemon.adapters.registry import MlflowRegistry
from trainer_daemon.adapters.registry.moving import CHAMPION, PREVIOUS
from trainer_daemon.commands.objections import Scene, refuse_promotion, refuse_rollback, restorable, warnings
from trainer_daemon.commands.opening import now, open_session, os_user, reading
from trainer_daemon.commands.records import read_records
from trainer_daemon.policy.interventions import Intervention
from trainer_daemon.policy.runs import Run
from trainer_daemon.telemetry.logging import quiet_log


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person wants; an empty `by` is the user of the system.

    Attributes:
        version: None for the previous champion.
    """

    version: int | None
    by: str
    reason: str


def promote(wish: Wish, *, is_forced: bool, config: Path, model: str | None, as_json: bool) -> None:
    """Record that a version is to be champion, and say who carries it out.

    Raises:
        typer.BadParameter: The reason is empty.
        CommandError: There is no such version, it is champion already, or its run says otherwise and nobody insists.
    """
    with _looking(wish, config, model) as look:
        scene = look(str(wish.version))
    refuse_promotion(scene, is_forced=is_forced)
    _ask("promote", scene, wish, as_json=as_json)


def roll_back(wish: Wish, *, config: Path, model: str | None, as_json: bool) -> None:
    """Record that the champion is to give way to the previous one, and say who carries it out.

    Raises:
        typer.BadParameter: The reason is empty.
        CommandError: There is nobody to go back to, or not to the one that is named.
    """
    with _looking(wish, config, model) as look:
        scene = look(str(wish.version) if wish.version is not None else restorable(look("")))
    refuse_rollback(scene, is_named=wish.version is not None)
    _ask("rollback", scene, wish, as_json=as_json)


@contextmanager
def _looking(wish: Wish, config: Path, model: str | None) -> Iterator[Callable[[str], Scene]]:
    """Within it, a version can be looked at; an empty one is none."""
    if not wish.reason.strip():
        message = "say why: it is kept in the ledger and on the version"
        raise typer.BadParameter(message, param_hint="--reason")
    session = open_session(config)
    name = session.one_model(model)
    with reading(session) as history, closing(MlflowRegistry(session.settings.mlflow, log=quiet_log())) as registry:
        records = read_records(history, name)
        aliases = registry.aliases(name)
        nothing = Scene(session=session, records=records, champion=aliases.get(CHAMPION, ""), previous=aliases.get(PREVIOUS, ""))

        def look(version: str) -> Scene:
            if not version:
                return nothing
            scene = replace(nothing, version=version, marks=registry.marks(name, version))
            return replace(scene, newer=_newer(history, scene.run))

        yield look


def _newer(history: History | None, run: Run | None) -> str:
    """The drop of a run whose bytes have been replaced."""
    if history is None or run is None:
        return ""
    current = history.current(run.model, [drop.uri for drop in run.drops])
    return next((drop.uri for drop in run.drops if current.get(drop.uri, drop).checksum != drop.checksum), "")


def _ask(kind: Literal["promote", "rollback"], scene: Scene, wish: Wish, *, as_json: bool) -> None:
    intervention = Intervention(
        model=scene.records.model,
        kind=kind,
        version=scene.version,
        replaces=scene.champion,
        by=wish.by.strip() or os_user(),
        reason=wish.reason.strip(),
        at=now(),
    )
    with Ledger(scene.session.settings.ledger) as ledger:
        ledger.ask(intervention)
    told = tuple(warnings(scene))
    if as_json:
        print(json.dumps(document(intervention, scene, told), ensure_ascii=False, indent=2))  # noqa: T201 - the answer
    else:
        print("\n".join(_lines(intervention, scene, told)))  # noqa: T201 - the answer


def document(intervention: Intervention, scene: Scene, told: tuple[str, ...]) -> dict[str, object]:
    """The JSON of `promote --json` and `rollback --json`; its shape is a contract."""
    return {
        "model": intervention.model,
        "action": intervention.kind,
        "version": intervention.version,
        "replaces": intervention.replaces or None,
        "by": intervention.by,
        "reason": intervention.reason,
        "at": intervention.at.isoformat(),
        "warnings": list(told),
        "daemon_running": scene.session.daemon_pid is not None,
    }


def _lines(intervention: Intervention, scene: Scene, told: tuple[str, ...]) -> Iterator[str]:
    yield from (f"Warning: {sentence}." for sentence in told)
    instead = f" in place of version {intervention.replaces}" if intervention.kind == "promote" and intervention.replaces else ""
    yield f"Asked to {intervention.words}{instead}. {scene.session.carried_out()}"
    if intervention.kind == "rollback" and intervention.replaces:
        yield f"Version {intervention.replaces} cannot become champion again by itself; candidates of later runs can."
