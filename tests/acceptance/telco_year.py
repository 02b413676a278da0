"""Real customers in monthly drops, trained and judged by the daemon itself: made once for all tests that look at it."""

import csv
import fcntl
import os
import random
from pathlib import Path

from tests.acceptance.harness import Workspace

SHUFFLED, LEAKED = "2026-01", "2026-02"
MONTHS = (*(f"2025-{month:02}" for month in range(1, 13)), SHUFFLED, LEAKED)
PROMOTION = {"confidence": 0.9}


def the_year(folder: Path, telco: Path) -> Workspace:
    """The workspace after fourteen months; whoever asks first has them trained, others wait.

    Twelve months are one population. In the thirteenth the labels are shuffled, in the fourteenth column `Partner` holds them.

    Args:
        folder: Shared by everybody who may ask.
        telco: The customers.
    """
    model = {"training": {"estimator": "logistic_regression"}, "promotion": PROMOTION}
    with (folder / "year.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        workspace, finished = Workspace(folder / "year", model=model), folder / "year.finished"
        if not finished.exists():
            _train(workspace, telco)
            finished.touch()
    return workspace


def shared_folder(base: Path) -> Path:
    """The folder that all processes of this test run have in common."""
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def _train(workspace: Workspace, telco: Path) -> None:
    with telco.open(newline="") as file:
        header, *rows = csv.reader(file)
    for number, period in enumerate(MONTHS):
        month = [dict(zip(header, row, strict=True)) for row in rows[number :: len(MONTHS)]]
        workspace.drop(f"churn_data_{period.replace('-', '_')}.csv", _text(header, _spoilt(month, period)))
    try:
        code = workspace.run_until_idle(540)
    finally:
        workspace.kill_tree()
    assert code == 0, workspace.log.read_text()[-6000:]


def _spoilt(month: list[dict[str, str]], period: str) -> list[dict[str, str]]:
    labels = [row["Churn"] for row in month]
    if period == SHUFFLED:
        random.Random(1).shuffle(labels)
        return [{**row, "Churn": label} for row, label in zip(month, labels, strict=True)]
    if period == LEAKED:
        return [{**row, "Partner": label} for row, label in zip(month, labels, strict=True)]
    return month


def _text(header: list[str], rows: list[dict[str, str]]) -> str:
    return "\n".join([",".join(header), *(",".join(row.values()) for row in rows)]) + "\n"
