"""One thing that happened, in plain words. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Tone(StrEnum):
    """How an entry reads."""

    PLAIN = "plain"
    GOOD = "good"
    BAD = "bad"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened.

    Attributes:
        id: The same thing has the same id at every look.
        details: Further sentences that belong to it.
    """

    id: str
    at: datetime
    text: str
    details: tuple[str, ...] = ()
    tone: Tone = Tone.PLAIN
