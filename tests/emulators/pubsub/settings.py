"""Defaults and limits of a subscription's configuration, as the service has them."""

from google.protobuf.message import Message

from tests.emulators.pubsub.filters import compile_filter
from tests.emulators.pubsub.refusal import invalid

_ACK_DEADLINES_S = range(10, 601)
_RETENTION_S = 7 * 24 * 3600
_ATTEMPTS = range(5, 101)
_BACKOFF_S_MIN, _BACKOFF_S_MAX = 10.0, 600.0
_ACTIVE = 1


def complete(config: Message) -> Message:
    """Fill in what the request left open.

    Raises:
        RefusedError: A value is out of its range.
    """
    config.ack_deadline_seconds = config.ack_deadline_seconds or _ACK_DEADLINES_S.start
    config.state = _ACTIVE
    if not config.HasField("message_retention_duration"):
        config.message_retention_duration.seconds = _RETENTION_S
    if config.HasField("dead_letter_policy") and not config.dead_letter_policy.max_delivery_attempts:
        config.dead_letter_policy.max_delivery_attempts = _ATTEMPTS.start
    _check(config)
    return config


def backoff_s(config: Message, attempts: int) -> float:
    """How long an entry that was delivered so often waits for its next delivery, in seconds."""
    if not config.HasField("retry_policy"):
        return 0.0
    policy = config.retry_policy
    shortest: float = policy.minimum_backoff.ToTimedelta().total_seconds() or _BACKOFF_S_MIN
    longest: float = policy.maximum_backoff.ToTimedelta().total_seconds() or _BACKOFF_S_MAX
    doublings = min(max(attempts - 1, 0), 20)
    return min(longest, shortest * 2.0**doublings)


def check_ack_deadline(seconds: int) -> None:
    """Accept a new deadline; 0 gives the message back.

    Raises:
        RefusedError: It is longer than the service allows.
    """
    if not 0 <= seconds < _ACK_DEADLINES_S.stop:
        message = f"Invalid ack deadline given (ack_deadline_seconds={seconds}): it must be 0 to 600."
        raise invalid(message)


def _check(config: Message) -> None:
    compile_filter(config.filter)
    if config.ack_deadline_seconds not in _ACK_DEADLINES_S:
        message = f"Invalid ack deadline given (ack_deadline_seconds={config.ack_deadline_seconds}): it must be 10 to 600."
        raise invalid(message)
    if config.HasField("dead_letter_policy") and config.dead_letter_policy.max_delivery_attempts not in _ATTEMPTS:
        message = "Invalid dead letter policy: max_delivery_attempts must be 5 to 100."
        raise invalid(message)
