"""Monthly churn files with a drift, for the demonstration and for tests; standard library only.

Customers become less patient: the same tenure, price and support tickets lead to more churn every month, and there are more
tickets, while the files look the same. A model of the first month therefore still ranks later customers well enough, but
believes far too few of them leave: its accuracy falls from about .77 to .41.
"""

import math
import random

HEADER = "Tenure,MonthlyCharges,ContractType,SupportTickets,Churn"
DRIFT = {"2025-03": 0.0, "2025-05": 0.5, "2025-06": 1.0}
"""Drift of the first users' three months: 25 %, 53 % and 78 % churn. There was no file in April."""

_PATIENCE_START, _PATIENCE_LOST = -2.125, 2.69
_TICKETS_START, _TICKETS_GAINED = 1.4, 0.8
_CONTRACT_SHARES = (0.55, 0.25, 0.20)
_CONTRACT_EFFECT = (0.7, -0.3, -1.1)
_TENURE_EFFECT, _CHARGES_EFFECT, _TICKETS_EFFECT = -0.028, 0.016, 0.45


def monthly_drop(*, drift: float, seed: int, rows: int = 1000) -> str:
    """One month as CSV text; equal arguments give equal text.

    Args:
        drift: 0 for the first month's customers, 1 for customers as impatient as those of the last one.
        seed: Other seeds are other customers.
        rows: Number of customers.
    """
    customers = random.Random(f"churn/{seed}/{drift:.6f}")
    return "\n".join([HEADER, *(_customer(customers, drift) for _ in range(rows))]) + "\n"


def _customer(draw: random.Random, drift: float) -> str:
    tenure = 1 + int(71 * draw.random() ** 1.6)
    charges = round(draw.uniform(20.0, 110.0), 2)
    contract = draw.choices(range(3), weights=_CONTRACT_SHARES)[0]
    tickets = _poisson(draw, mean=_TICKETS_START + _TICKETS_GAINED * drift)
    impatience = (
        _PATIENCE_START
        + _PATIENCE_LOST * drift
        + _CONTRACT_EFFECT[contract]
        + _TENURE_EFFECT * (tenure - 28)
        + _CHARGES_EFFECT * (charges - 65)
        + _TICKETS_EFFECT * tickets
    )
    churn = int(draw.random() < 1 / (1 + math.exp(-impatience)))
    return f"{tenure},{charges:.2f},{contract},{tickets},{churn}"


def _poisson(draw: random.Random, *, mean: float) -> int:
    """Knuth's algorithm (The Art of Computer Programming, volume 2, 3.4.1)."""
    limit, product, count = math.exp(-mean), draw.random(), 0
    while product > limit:
        product *= draw.random()
        count += 1
    return count
