"""Whether somebody else moves the champion's alias, held against what the ledger knows. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from trainer_daemon.policy.checks import Finding, ok, warning

RECENT = timedelta(days=30)
_FIX = "find out who: the registry's own log or its proxy's; `trainer-daemon history` has the times"


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasPast:
    """What a ledger knows of a model's champion.

    Attributes:
        champion: Who is; empty for nobody, None when no daemon has looked yet.
        foreign: Version and time of every move that the daemon did not make, oldest first; an empty version is nobody.
    """

    champion: str | None = None
    foreign: Sequence[tuple[str, datetime]] = ()


def judge_alias(past: AliasPast, champion: str, now: datetime) -> Finding:
    """Whether anybody else moves the alias.

    Args:
        past: What the ledger knows.
        champion: Where the alias is; empty for nowhere.
        now: In UTC.
    """
    if past.champion is not None and past.champion != champion:
        found = f"alias champion is on {_named(champion)}, this ledger knows {_named(past.champion)}: somebody else moved it"
        return warning(found, f"if nobody should have, `trainer-daemon rollback --reason WHY`, and {_FIX}")
    recent = [(version, at) for version, at in past.foreign if now - at <= RECENT]
    if recent:
        version, at = recent[-1]
        times = "once" if len(recent) == 1 else f"{len(recent)} times"
        last = f"last to {_named(version)} on {at:%Y-%m-%d %H:%M} UTC"
        return warning(f"somebody else moved alias champion {times} in {RECENT.days} days, {last}", _FIX)
    return ok(f"nobody but this ledger's daemon has moved alias champion in {RECENT.days} days, as far as it has seen")


def _named(version: str) -> str:
    return f"version {version}" if version else "no version"
