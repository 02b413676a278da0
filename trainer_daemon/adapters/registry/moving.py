"""Moving the champion: two aliases, no compare-and-set, and a crash between any two calls that has to converge.

`champion` is what serving loads, so it moves last: until then nothing has happened for anybody else. `previous-champion` is where
a rollback goes, so it is written before, and a repetition that finds `champion` in its place already still sees to it. What was
written is read again, since the last writer wins: who else wrote in between is told, or the move is tried again.
"""

from collections.abc import Mapping
from typing import Protocol

from trainer_daemon.errors import TemporaryError

CHAMPION = "champion"
PREVIOUS = "previous-champion"


class Aliases(Protocol):
    """The aliases of one registered model."""

    def read(self) -> Mapping[str, str]:
        """Version by alias, as it is now."""

    def point(self, alias: str, version: str) -> None:
        """Let an alias point to a version."""

    def require(self, version: str) -> None:
        """Raise what the registry raises when there is no such version."""


def move_champion(aliases: Aliases, version: str, expected: str) -> str:
    """Move the champion from `expected` to `version`, unless it is somewhere else; may be repeated after a crash anywhere.

    Args:
        aliases: Of the model.
        version: The new champion.
        expected: Who is to be champion before; empty for nobody.

    Returns:
        Who is champion afterwards.

    Raises:
        TemporaryError: Somebody else moved `previous-champion` at the same moment.
    """
    before = aliases.read()
    champion = before.get(CHAMPION, "")
    if champion not in {expected, version}:
        return champion
    if champion != version:
        aliases.require(version)  # before any alias moves
    predecessor = expected if expected != version else ""
    if predecessor and before.get(PREVIOUS) != predecessor:
        aliases.point(PREVIOUS, predecessor)
    if champion != version:
        aliases.point(CHAMPION, version)
    return _read_back(aliases, version, predecessor)


def _read_back(aliases: Aliases, version: str, predecessor: str) -> str:
    after = aliases.read()
    champion, previous = after.get(CHAMPION, ""), after.get(PREVIOUS, "")
    if champion == version and predecessor and previous != predecessor:
        msg = (
            f"alias {PREVIOUS} was pointed to version {predecessor} and is on {previous or 'nothing'}: somebody else moves it; "
            "it is tried again"
        )
        raise TemporaryError(msg)
    return champion
