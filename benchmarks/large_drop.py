"""A drop of millions of customers, for the benchmarks: 15 columns, about 100 bytes a row."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv

_CHUNK_ROWS = 500_000
_TEXTS: Mapping[str, tuple[str, ...]] = {
    "ContractType": ("Month-to-month", "One year", "Two year"),
    "PaymentMethod": ("Electronic check", "Mailed check", "Bank transfer", "Credit card"),
    "InternetService": ("DSL", "Fiber optic", "No"),
    "Region": tuple(f"Region {number}" for number in range(40)),
    "Device": ("phone", "tablet", "router", "none"),
}


def write_large_drop(path: Path, rows: int, *, seed: int = 1) -> None:
    """Write a CSV file; equal arguments give equal files.

    Args:
        path: The file.
        rows: Number of customers.
        seed: Other seeds are other customers.
    """
    draw = np.random.default_rng(seed)
    with path.open("wb") as stream:
        for start in range(0, rows, _CHUNK_ROWS):
            table = _customers(draw, np.arange(start, min(rows, start + _CHUNK_ROWS)))
            pcsv.write_csv(table, stream, pcsv.WriteOptions(include_header=start == 0, quoting_style="none"))


def _customers(draw: np.random.Generator, numbers: np.ndarray) -> pa.Table:
    rows = len(numbers)
    contract, tickets = draw.integers(0, 3, rows), draw.poisson(1.4, rows)
    tenure, charges = draw.integers(1, 73, rows), draw.uniform(20, 110, rows).round(2)
    impatience = -2 + 0.7 * (contract == 0) - 0.03 * (tenure - 28) + 0.016 * (charges - 65) + 0.45 * tickets
    codes = {name: draw.integers(0, len(words), rows) for name, words in _TEXTS.items()} | {"ContractType": contract}
    return pa.table(
        {
            "CustomerId": [f"C{number:08}" for number in numbers],
            "Tenure": tenure,
            "MonthlyCharges": charges,
            "TotalCharges": (tenure * charges).round(2),
            "SupportTickets": tickets,
            "DataUsedGb": draw.gamma(2, 20, rows).round(3),
            "CallMinutes": draw.gamma(3, 90, rows).round(1),
            "LatePayments": draw.poisson(0.4, rows),
            "Discount": draw.choice([0.0, 0.05, 0.1, 0.2], rows),
            **{name: pa.array(words).take(pa.array(codes[name])) for name, words in _TEXTS.items()},
            "Churn": (draw.random(rows) < 1 / (1 + np.exp(-impatience))).astype("int8"),
        }
    )
