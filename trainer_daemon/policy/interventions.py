"""A person makes somebody champion, whatever the rules say: what was asked for, and what is to be done about it. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervention:
    """What a person asked for, and what came of it; nobody revokes it, the next one comes after it.

    Attributes:
        id: Their order; 0 before it is written down.
        version: Who is to be champion.
        replaces: Who was champion when it was asked for, or when it was carried out; empty for nobody.
        outcome: `pending` until it is `done` or `refused`.
        why: Why it was refused.
        closed_at: When it was carried out or refused.
    """

    id: int = 0
    model: str
    kind: Literal["promote", "rollback"]
    version: str
    replaces: str
    by: str
    reason: str
    at: datetime
    outcome: Literal["pending", "done", "refused"] = "pending"
    why: str = ""
    closed_at: datetime | None = None

    @property
    def sentence(self) -> str:
        """As it is kept with a run and on a version."""
        return f"{'promoted' if self.kind == 'promote' else 'rolled back'} by {self.by}: {self.reason}"

    @property
    def story(self) -> str:
        """The same, with whose place was taken by a rollback."""
        return self.sentence if self.kind == "promote" else f"{self.replaced} was {self.sentence}"

    @property
    def words(self) -> str:
        """What was asked for."""
        if self.kind == "promote":
            return f"promote version {self.version}"
        return f"roll back from {self.replaced} to version {self.version}"

    @property
    def replaced(self) -> str:
        """Whose place the version takes."""
        return _named(self.replaces)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervene:
    """Carry it out: move the alias from `expected`, mark the versions, close it."""

    intervention: Intervention
    expected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dismiss:
    """It cannot be carried out any more; say why."""

    intervention: Intervention
    why: str


def finish(wish: Intervention | None, champion: str, known: str) -> Intervene | None:
    """A crash between moving the alias for a person and writing it down: the alias is where the person wanted it.

    Args:
        wish: The oldest that waits.
        champion: Who is champion; empty for nobody.
        known: Who is as far as the ledger knows.
    """
    return _intervene(wish, known) if wish is not None and champion == wish.version != known else None


def conclude(wish: Intervention | None, champion: str) -> Intervene | Dismiss | None:
    """What is to be done for a person, once the ledger knows who is champion; None when nobody asks for anything.

    A rollback is meant against the champion that the person saw: of two people who take back the same version the second one
    comes too late, and does not take back what the first one has restored.
    """
    if wish is None:
        return None
    if champion == wish.version:
        return Dismiss(intervention=wish, why=f"version {champion} is champion already")
    if wish.kind == "rollback" and champion != wish.replaces:
        return Dismiss(intervention=wish, why=f"{wish.replaced} is not champion any more, {_named(champion)} is")
    return _intervene(wish, champion)


def _intervene(wish: Intervention, before: str) -> Intervene:
    return Intervene(intervention=wish, expected=wish.replaces if wish.kind == "rollback" else before)


def rolled_back(interventions: Iterable[Intervention]) -> Mapping[str, Intervention]:
    """The versions that a person took back and nobody brought back since.

    Args:
        interventions: Of one model, oldest first.
    """
    found: dict[str, Intervention] = {}
    for each in interventions:
        if each.outcome == "done":
            found.pop(each.version, None)
            if each.kind == "rollback" and each.replaces:
                found[each.replaces] = each
    return found


def predecessor(reigns: Iterable[str], champion: str, barred: Iterable[str]) -> str:
    """The last champion before the one of now that nobody took back; empty when there is none.

    Args:
        reigns: Every champion there was, oldest first; empty for nobody.
        champion: Of now.
        barred: Versions that a person took back.
    """
    unwanted = {"", champion, *barred}
    return next((version for version in reversed(tuple(reigns)) if version not in unwanted), "")


def _named(version: str) -> str:
    return f"version {version}" if version else "nobody"
