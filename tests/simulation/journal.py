"""What the daemons of a simulated world log; lines are kept as they are given, and nobody renders them."""

from structlog.testing import CapturedCall


class Journal:
    """A logger; structlog's own for tests makes a function of every call.

    Attributes:
        calls: Every line.
    """

    def __init__(self) -> None:
        self.calls: list[CapturedCall] = []

    def debug(self, **line: object) -> None:
        """A step."""
        self.calls.append(CapturedCall("debug", (), line))

    def info(self, **line: object) -> None:
        """A state that moved."""
        self.calls.append(CapturedCall("info", (), line))

    def warning(self, **line: object) -> None:
        """What is tried again."""
        self.calls.append(CapturedCall("warning", (), line))

    def error(self, **line: object) -> None:
        """What a person must look at."""
        self.calls.append(CapturedCall("error", (), line))
