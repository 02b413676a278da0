"""Two aliases move as one: crashes between any two calls, and somebody else who writes at the same time."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from trainer_daemon.adapters.registry.moving import CHAMPION, PREVIOUS, move_champion
from trainer_daemon.errors import PermanentError, TemporaryError


class Crash(BaseException):
    """The process is gone."""


@dataclass
class Registry:
    """Aliases of a model with versions 1 to 3.

    Attributes:
        left: The call after which the process dies.
        meanwhile: What somebody else does after each move of an alias.
    """

    aliases: dict[str, str] = field(default_factory=dict)
    left: int = -1
    meanwhile: Callable[[dict[str, str], str], None] = lambda _aliases, _moved: None

    def read(self) -> dict[str, str]:
        """As they are."""
        self._count()
        return dict(self.aliases)

    def point(self, alias: str, version: str) -> None:
        """Move one."""
        self.aliases[alias] = version
        self.meanwhile(self.aliases, alias)
        self._count()

    def require(self, version: str) -> None:
        """Refuse others."""
        if version not in {"1", "2", "3"}:
            message = f"no version {version}"
            raise PermanentError(message)
        self._count()

    def _count(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Crash


@pytest.mark.parametrize("previous", [{}, {PREVIOUS: "3"}, {PREVIOUS: "1"}])
def test_crash_after_any_call_converges_and_nobody_is_champion_in_between(previous: dict[str, str]) -> None:
    """The old one serves until the new one does, and the predecessor is known as soon as the new one serves."""
    crashes = 0
    for left in range(1, 9):
        registry = Registry(aliases={CHAMPION: "1", **previous}, left=left)
        try:
            move_champion(registry, "2", "1")
        except Crash:
            crashes += 1
        registry.left = -1
        assert registry.aliases[CHAMPION] == "1" or registry.aliases == {CHAMPION: "2", PREVIOUS: "1"}
        assert move_champion(registry, "2", "1") == "2"
        assert registry.aliases == {CHAMPION: "2", PREVIOUS: "1"}
    assert crashes >= 4


def test_first_champion_has_no_predecessor() -> None:
    """An alias of an earlier age stays where it is."""
    registry = Registry(aliases={PREVIOUS: "3"})
    assert move_champion(registry, "1", "") == "1"
    assert registry.aliases == {CHAMPION: "1", PREVIOUS: "3"}


def test_champion_that_is_to_follow_itself_is_not_its_own_predecessor() -> None:
    """Nothing moves."""
    registry = Registry(aliases={CHAMPION: "1", PREVIOUS: "3"})
    assert move_champion(registry, "1", "1") == "1"
    assert registry.aliases == {CHAMPION: "1", PREVIOUS: "3"}


def test_another_champion_is_told_and_left_alone() -> None:
    """With the alias that belongs to it."""
    registry = Registry(aliases={CHAMPION: "3", PREVIOUS: "1"})
    assert move_champion(registry, "2", "1") == "3"
    assert registry.aliases == {CHAMPION: "3", PREVIOUS: "1"}


def test_version_that_does_not_exist_moves_nothing() -> None:
    """Not even the first of the two aliases."""
    registry = Registry(aliases={CHAMPION: "1"})
    with pytest.raises(PermanentError):
        move_champion(registry, "9", "1")
    assert registry.aliases == {CHAMPION: "1"}


def test_somebody_who_moves_the_champion_last_is_told() -> None:
    """The last writer wins, and the caller learns who."""

    def snatch(aliases: dict[str, str], moved: str) -> None:
        if moved == CHAMPION:
            aliases[CHAMPION] = "3"

    assert move_champion(Registry(aliases={CHAMPION: "1"}, meanwhile=snatch), "2", "1") == "3"


def test_predecessor_that_somebody_else_moves_is_written_again() -> None:
    """By the repetition, which an error asks for."""

    def disturb(aliases: dict[str, str], moved: str) -> None:
        if moved == CHAMPION:
            aliases[PREVIOUS] = "3"

    registry = Registry(aliases={CHAMPION: "1"}, meanwhile=disturb)
    with pytest.raises(TemporaryError, match="was pointed to version 1 and is on 3: somebody else moves it"):
        move_champion(registry, "2", "1")
    assert move_champion(registry, "2", "1") == "2"
    assert registry.aliases == {CHAMPION: "2", PREVIOUS: "1"}
