import base64
import hashlib
import hmac
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import NOW
from trainer_daemon.errors import TemporaryError
from trainer_daemon.policy.redelivery import BACKOFF_S_MAX, BACKOFF_S_MIN, RETRY_AFTER_S_MAX, Reply, backoff_s, reception
from trainer_daemon.policy.signature import parse_secrets, signed_headers

WELL_KNOWN = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.mark.parametrize(
    ("outcome", "statuses"),
    [
        ("delivered", [200, 201, 202, 204, 299]),
        ("failed", [301, 302, 307, 401, 403, 404, 407, 408, 425, 429, 500, 502, 503, 504, 599, 100]),
        ("refused", [400, 405, 406, 409, 410, 413, 415, 422]),
    ],
)
def test_status_says_whether_it_is_tried_again(outcome: str, statuses: list[int]) -> None:
    """Who would refuse the same for ever is not asked again; what somebody mends is."""
    assert {reception(status) for status in statuses} == {outcome}


@given(attempts=st.integers(1, 10_000), chance=st.floats(0, 1))
def test_pause_is_bounded_and_never_none(attempts: int, chance: float) -> None:
    """Between half of the shortest and the longest, however often it has failed."""
    assert BACKOFF_S_MIN / 2 <= backoff_s(attempts, chance=chance) <= BACKOFF_S_MAX


def test_pauses_double_up_to_the_longest() -> None:
    """With the same luck."""
    pauses = [backoff_s(attempts, chance=1.0) for attempts in range(1, 15)]
    assert pauses[:3] == [2.0, 4.0, 8.0]
    assert all(later in {2 * earlier, BACKOFF_S_MAX} for earlier, later in pairwise(pauses))
    assert pauses[-1] == BACKOFF_S_MAX


def test_endpoint_is_not_asked_before_it_wants_to_be() -> None:
    """Unless that is never."""
    assert backoff_s(1, chance=1.0, retry_after_s=77.0) == 77.0
    assert backoff_s(8, chance=1.0, retry_after_s=1.0) == 256.0
    assert backoff_s(1, chance=0.0, retry_after_s=1e9) == RETRY_AFTER_S_MAX


def test_reply_is_told_with_what_it_says() -> None:
    """Or without."""
    assert (Reply(status=500, text="oops").sentence, Reply(status=404).sentence) == ("it answered 500 oops", "it answered 404")


def test_signature_is_that_of_standard_webhooks() -> None:
    """The example of its specification: secret, id, time and payload with their signature."""
    body = b'{"test": 2432232314}'
    at = NOW.fromtimestamp(1614265330, NOW.tzinfo)
    headers = signed_headers("msg_p5jXN8AQM9LWM0D4loKWxJek", body, secrets=parse_secrets(WELL_KNOWN), at=at)
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_every_secret_signs_while_one_replaces_another() -> None:
    """One a line; blank lines and ends of lines count for nothing."""
    secrets = parse_secrets("the old secret, long enough\n\n  the new secret, long enough \r\n")
    assert secrets == (b"the old secret, long enough", b"the new secret, long enough")
    signatures = signed_headers("i", b"body", secrets=secrets, at=NOW)["webhook-signature"].split(" ")
    content = f"i.{int(NOW.timestamp())}.body".encode()
    wanted = [base64.b64encode(hmac.new(secret, content, hashlib.sha256).digest()).decode() for secret in secrets]
    assert signatures == [f"v1,{signature}" for signature in wanted]


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "empty"), (" \n", "empty"), ("short", "at least 16 bytes"), ("whsec_!", "not base64"), ("whsec_YWJj", "at least 16")],
)
def test_what_is_no_secret_signs_nothing(text: str, words: str) -> None:
    """The sentence says why, and not what it is."""
    with pytest.raises(TemporaryError, match=words) as caught:
        parse_secrets(text)
    assert not text.strip() or text.strip() not in str(caught.value)
