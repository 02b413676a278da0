"""What a check of the installation comes to: how it stands, what was found, and what would put it right. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How a check stands; only FAILED keeps the daemon from doing its work."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The outcome of a check.

    Attributes:
        found: One sentence or less, without a full stop.
        fix: One command or one sentence; empty when nothing has to be done.
    """

    status: Status
    found: str
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One row of the doctor's report.

    Attributes:
        name: What was checked; the same at every call.
        model: Whose it is; empty when it concerns all of them.
    """

    name: str
    status: Status
    found: str
    fix: str = ""
    model: str = ""
    seconds: float = 0.0

    @property
    def title(self) -> str:
        """The name as people see it."""
        return f"{self.model}: {self.name}" if self.model else self.name


def ok(found: str) -> Finding:
    """It is as it should be."""
    return Finding(status=Status.OK, found=found)


def warning(found: str, fix: str) -> Finding:
    """The daemon works, but not as well as it could, or not for ever."""
    return Finding(status=Status.WARNING, found=found, fix=fix)


def failed(found: str, fix: str) -> Finding:
    """The daemon cannot do its work like this."""
    return Finding(status=Status.FAILED, found=found, fix=fix)


def skipped(reason: str, fix: str = "") -> Finding:
    """It could not be checked, or there is nothing to check."""
    return Finding(status=Status.SKIPPED, found=reason, fix=fix)


def split_sentence(sentence: str) -> tuple[str, str]:
    """What is wrong and what to do about it; errors here are written as `what is wrong; what to do`."""
    found, separator, fix = sentence.rpartition("; ")
    return (found, fix) if separator else (sentence, "")
