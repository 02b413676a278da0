"""How a receiver knows that a notification is ours, and when it was sent. Pure.

This is the scheme of Standard Webhooks (github.com/standard-webhooks/standard-webhooks), for which there are libraries: HMAC with
SHA-256 over id, time and body, so that neither can be exchanged.
"""

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime

from trainer_daemon.errors import TemporaryError

SECRET_BYTES_MIN = 16
_PREFIX = "whsec_"


def parse_secrets(text: str) -> tuple[bytes, ...]:
    """The secrets in a file or a variable, one a line; while one replaces another there are two.

    Args:
        text: A line that begins with `whsec_` goes on in base64; any other is the secret as it stands.

    Raises:
        TemporaryError: There is none, or one that is too short to be one; it may be corrected at any time.
    """
    secrets = tuple(_secret(line.strip()) for line in text.splitlines() if line.strip())
    if not secrets:
        msg = "it is empty"
        raise TemporaryError(msg)
    return secrets


def _secret(line: str) -> bytes:
    try:
        secret = base64.b64decode(line.removeprefix(_PREFIX), validate=True) if line.startswith(_PREFIX) else line.encode()
    except binascii.Error as exc:
        msg = f"what follows {_PREFIX} is not base64"
        raise TemporaryError(msg) from exc
    if len(secret) < SECRET_BYTES_MIN:
        msg = f"a secret has at least {SECRET_BYTES_MIN} bytes, this one has {len(secret)}; `openssl rand -hex 32` makes one"
        raise TemporaryError(msg)
    return secret


def signed_headers(notice_id: str, body: bytes, *, secrets: Sequence[bytes], at: datetime) -> Mapping[str, str]:
    """Headers with id, time of sending in seconds since 1970, and one signature per secret."""
    timestamp = str(int(at.timestamp()))
    content = b".".join((notice_id.encode(), timestamp.encode(), body))
    signatures = (base64.b64encode(hmac.digest(secret, content, "sha256")).decode() for secret in secrets)
    return {
        "webhook-id": notice_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
