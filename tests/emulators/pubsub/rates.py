"""How often something goes wrong on purpose; imports nothing, because every test session reads it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Probabilities, 0 to 1.

    Args:
        duplicate: A message is delivered once more than it should be, within a second, acked or not.
        drop: A message never reaches a subscription.
        expire: A delivery's lease ends at once: the message comes again and the first answer is too late.
        seed: The same seed and the same order of messages give the same faults.
    """

    duplicate: float = 0.0
    drop: float = 0.0
    expire: float = 0.0
    seed: int = 0
