"""Who may act for a model, and until when: the lease as a value, and the durations that fit together. Pure.

    renewal asked for           local deadline        expires, by the database's clock
          │◀──────── LEASE_S - MARGIN_S ────────▶│◀── MARGIN_S ──▶│
          └──────────────── LEASE_S or more ──────────────────────┘── at most LOOK_S ─▶ somebody else takes it

The holder counts from before it asked, the database from when it answered, so the holder stops at least MARGIN_S before anybody
else may begin, as long as the two clocks go equally fast. Somebody else begins at most LEASE_S + LOOK_S, and the time of a
transaction, after the last renewal.
"""

from dataclasses import dataclass

LEASE_S = 10.0
"""How long a lease lasts after it was taken or renewed."""
MARGIN_S = 3.0
"""How much earlier its holder stops, unless it was renewed."""
RENEW_S = 2.0
"""How often it is renewed: twice may fail."""
LOOK_S = 1.0
"""How often somebody who does not hold it tries to take it, and who could not renew it tries again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to act for a model, as long as the ledger names this token.

    Attributes:
        holder: One life of one daemon.
        token: Grows with every change of hands; who still has a smaller one is refused.
    """

    model: str
    holder: str
    token: int


def deadline(*, asked_at: float) -> float:
    """Until when the holder may act, in its own monotonic seconds.

    Args:
        asked_at: When the renewal that succeeded was begun.
    """
    return asked_at + LEASE_S - MARGIN_S
