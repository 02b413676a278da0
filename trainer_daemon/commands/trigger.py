"""`trigger`: ask the daemon for a run by recording an event; nothing is trained by the command itself."""

import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.commands.matching import as_period, find_drops
from trainer_daemon.commands.opening import CommandError, Session, file_name, now, open_session, os_user, reading
from trainer_daemon.errors import StaleStateError
from trainer_daemon.policy.events import OPERATOR_EVENT, DatasetVersion, Event, EventKind, Source
from trainer_daemon.policy.runs import LIVE, Run, RunState

_KNOWN_SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What an operator asks for; with neither period nor drop it is about the newest one."""

    period: str | None = None
    drop: str | None = None
    force: bool = False
    reason: str = ""


def trigger(wish: Wish, *, config: Path, model: str | None) -> None:
    """Record the request and say what will come of it.

    Raises:
        CommandError: No such drop is known.
    """
    session = open_session(config)
    name = session.one_model(model)
    with reading(session) as history:
        drops = history.newest_drops(name, sys.maxsize) if history else ()
        drop = choose(wish, drops, session)
        earlier = history.runs_for_content(name, drop) if history else ()
    record(wish, name, drop, session)
    print(f"Asked for a run of {file_name(drop.uri)} ({drop.period}) of model {name}.")  # noqa: T201 - the answer
    print(forecast(wish, earlier[-1] if earlier else None, session))  # noqa: T201 - the answer
    print(session.daemon())  # noqa: T201 - the answer


def choose(wish: Wish, drops: tuple[DatasetVersion, ...], session: Session) -> DatasetVersion:
    """The one drop that is asked for.

    Args:
        wish: What the operator said.
        drops: The current drops, newest first.
        session: For the words of the hint when there is none.

    Raises:
        CommandError: There is none, or there are several.
    """
    if not drops:
        msg = f"no drop is known yet: they are known once the daemon has seen them. {session.daemon()}"
        raise CommandError(msg)
    found = _found(wish, drops)
    if len(found) == 1:
        return found[0]
    if found:
        msg = f"{wish.period or wish.drop} is more than one drop; name one with --drop: {_listed(found)}"
        raise CommandError(msg)
    msg = f"no drop {wish.period or wish.drop} is known{_replaced(wish, drops)}; known are: {_listed(drops)}"
    raise CommandError(msg)


def forecast(wish: Wish, earlier: Run | None, session: Session) -> str:
    """What will come of it, as far as anybody can say before the daemon has looked."""
    if wish.force:
        return "A new run will be queued, even if an equal one exists."
    if earlier is None:
        return "A run will be queued."
    if earlier.state in LIVE:
        return f"Run {earlier.name} is on its way already ({earlier.state}); no second one is made unless the code changed."
    if earlier.state in {RunState.SUPERSEDED, RunState.CANCELED, RunState.FAILED}:
        return f"Run {earlier.name} ended {earlier.state}; it will be queued again."
    return (
        f"Run {earlier.name} was for the same bytes and ended {earlier.state}: unless code or parameters changed since, nothing "
        f"is trained; --force trains it again. `{session.command('explain', earlier.name)}` tells what came of it."
    )


def _found(wish: Wish, drops: tuple[DatasetVersion, ...]) -> tuple[DatasetVersion, ...]:
    if wish.drop:
        return find_drops(wish.drop, drops)
    if wish.period:
        return tuple(drop for drop in drops if drop.period == as_period(wish.period))
    return drops[:1]


def _replaced(wish: Wish, drops: tuple[DatasetVersion, ...]) -> str:
    """A generation that was current once, or never was."""
    uri = (wish.drop or "").rpartition("#")[0]
    return " under that generation, it may have been replaced" if uri and find_drops(uri, drops) else ""


def _listed(drops: tuple[DatasetVersion, ...]) -> str:
    shown = ", ".join(f"{file_name(drop.uri)} ({drop.period})" for drop in drops[:_KNOWN_SHOWN])
    return shown + (f" and {len(drops) - _KNOWN_SHOWN} older ones" if len(drops) > _KNOWN_SHOWN else "")


def record(wish: Wish, model: str, drop: DatasetVersion, session: Session) -> None:
    """Write the request into the ledger, where the daemon finds it.

    Args:
        wish: What the operator said.
        model: Whose run is asked for.
        drop: Of what.
        session: Where the ledger is.
    """
    user = os_user()
    event = Event(
        id=f"{OPERATOR_EVENT}{model}:{uuid.uuid4()}",
        kind=EventKind.OPERATOR,
        model=model,
        source=Source.CLI,
        occurred_at=now(),
        drop=drop,
        order=0,  # older than what any bucket reports: asking for a drop never changes which version of it is current
        force=wish.force,
        by=f"{user} ({wish.reason})" if wish.reason else user,
    )
    with Ledger(session.settings.ledger) as ledger:
        if ledger.record([event], now()) != [True]:
            msg = f"event {event.id} exists already"
            raise StaleStateError(msg)
