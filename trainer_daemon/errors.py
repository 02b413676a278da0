"""The errors the daemon tells apart; adapters translate their library's errors into these, nothing else crosses their border."""


class TrainerError(Exception):
    """Anything this package raises on purpose."""


class ConfigError(TrainerError):
    """The configuration is wrong; start-up only.

    Args:
        problems: One sentence per wrong key.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class InvalidEvent(TrainerError):  # noqa: N818 - it is the event that is wrong, not the program
    """What a source received can never become a valid event; it is stored as rejected and acknowledged."""


class TemporaryError(TrainerError):
    """The other side is unavailable, slow or throttling; the state stays as it is and the same action is tried again.

    Args:
        message: What was tried and what came back.
        retry_after_s: When the other side said how long to wait.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class PermanentError(TrainerError):
    """The other side refused, and would refuse again."""


class RolledBackError(PermanentError):
    """A person took this version back, so no run may make it champion; the message says who and why."""


class StaleStateError(TrainerError):
    """The ledger row is no longer in the state that the decision was made for; somebody else moved it. Look again."""


class LeaseLostError(StaleStateError):
    """This daemon may not act for the model any more: another one does, or may begin to."""
