"""The identity of bytes as the daemon names it, computed again while they are read."""

import base64
import hashlib
from typing import Protocol

from pipelines.errors import BadSettings


class Fingerprint(Protocol):
    """Grows with the bytes that are read."""

    def update(self, data: bytes) -> None:
        """Add bytes."""

    def value(self) -> str:
        """Of all bytes so far, in the form of the checksum it was made for."""


def fingerprint_like(checksum: str) -> Fingerprint:
    """A fingerprint that is comparable with a drop's checksum.

    Args:
        checksum: `sha256:<hex>`, or `crc32c:<base64>:<size in bytes>` as Google Cloud Storage has it for every object.

    Raises:
        BadSettings: The checksum is of another kind.
    """
    kind = checksum.partition(":")[0]
    if kind == "sha256":
        return _Sha256()
    if kind == "crc32c":
        return _Crc32c()
    msg = f"checksum {checksum!r} is of an unknown kind: sha256 and crc32c are supported"
    raise BadSettings(msg)


class _Sha256:
    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def update(self, data: bytes) -> None:
        self._digest.update(data)

    def value(self) -> str:
        return f"sha256:{self._digest.hexdigest()}"


class _Crc32c:
    def __init__(self) -> None:
        import google_crc32c  # only drops of Google Cloud Storage have one

        self._extend = google_crc32c.extend
        self._crc, self._size = 0, 0

    def update(self, data: bytes) -> None:
        self._crc = self._extend(self._crc, data)
        self._size += len(data)

    def value(self) -> str:
        return f"crc32c:{base64.b64encode(self._crc.to_bytes(4, 'big')).decode()}:{self._size}"
