"""Many uploads in random order: of new drops, of corrected ones, of the same bytes again."""

import base64
import random
from collections.abc import Sequence
from dataclasses import dataclass

from trainer_daemon.policy.objects import content_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """Bytes under an object's name."""

    name: str
    body: str

    @property
    def checksum(self) -> str:
        """The identity of the bytes, computed here anew."""
        import google_crc32c

        digest: bytes = google_crc32c.Checksum(self.body.encode()).digest()  # type: ignore[no-untyped-call]
        return content_of(base64.b64encode(digest).decode(), len(self.body.encode()))


def random_uploads(folders: Sequence[str], *, drops: int, corrected: int, repeated: int, seed: int) -> list[Upload]:
    """Uploads in random order.

    Args:
        folders: Drops go to them in turn.
        drops: How many names there are.
        corrected: How many of them get other bytes by a second upload.
        repeated: How many others get the same bytes by a second upload.
        seed: Of the order.
    """
    chance = random.Random(seed)
    names = [f"{folders[at % len(folders)]}/{_drop(at // len(folders))}" for at in range(drops)]
    chance.shuffle(names)
    second = dict.fromkeys(names[:corrected], 2) | dict.fromkeys(names[corrected : corrected + repeated], 1)
    waiting = {name: [1, *([second[name]] if name in second else [])] for name in names}
    order = [name for name, versions in waiting.items() for _ in versions]
    chance.shuffle(order)
    return [Upload(name=name, body=f"a,Churn\n{name},{waiting[name].pop(0)}\n") for name in order]


def _drop(number: int) -> str:
    return f"churn_data_{2000 + number // 12}_{number % 12 + 1:02}.csv"
