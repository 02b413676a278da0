"""The ways a step can fail that the daemon tells apart; anything else is a plain error."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.progress import plain


class BadDrop(Exception):  # noqa: N818 - it is the drop that is wrong, not the program
    """The drop can never be trained as it is.

    Args:
        reason: One sentence for the person who has to correct the drop: what, where, what to do.

    Attributes:
        drop: Reference of the drop, where a run has several; empty for the newest.
    """

    def __init__(self, reason: str) -> None:
        self.reason = plain(reason)
        super().__init__(self.reason)
        self.drop = ""


class DropChanged(Exception):  # noqa: N818 - the same
    """The object no longer holds the bytes this run was launched for; nobody's fault, the new bytes get their own run."""


class BadSettings(Exception):  # noqa: N818 - the same
    """The configuration asks for something that does not exist; the sentence names the setting."""


class UnusableModel(Exception):  # noqa: N818 - the same
    """A model file cannot be used: not skops, damaged, or with types that are not on the trusted list."""


@contextmanager
def blaming(drop: str) -> Iterator[None]:
    """Say which drop it is that is bad.

    Args:
        drop: Its reference; what goes on inside is about this drop only.
    """
    try:
        yield
    except BadDrop as error:
        error.drop = drop
        raise
