"""What a service's refusals become: our two kinds of error, told apart by status where an adapter has to."""

from trainer_daemon.errors import PermanentError, TemporaryError


class Refused(PermanentError):  # noqa: N818 - it is the server that refuses
    """The API server itself refused a call, in its own words.

    Args:
        message: What was asked and what came back.
        status: Of HTTP.
    """

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class Unauthenticated(TemporaryError):  # noqa: N818 - it is the credential that is wrong
    """The service does not take the credential.

    Temporary on purpose: a token that expired, or a password that somebody rotated, says nothing about any run, so no run may
    fail of it. The state stays, the log has one error, and all goes on once the credential is right.
    """
