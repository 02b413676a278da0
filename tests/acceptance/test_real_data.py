"""Real churn data, trained by the daemon itself, with no special code per file."""

import csv
from collections import defaultdict
from pathlib import Path

import pytest

from tests.acceptance.conftest import MakeWorkspace
from tests.acceptance.harness import Workspace
from tests.acceptance.registry_view import look


def train(workspace: Workspace) -> dict[str, float]:
    """Work until idle; holdout ROC-AUC of each period's candidate."""
    assert workspace.run_until_idle(200) == 0
    states = {run["state"] for run in workspace.status()["runs"]}
    assert states <= {"PROMOTED", "REJECTED"}
    return {period: metrics["roc_auc"] for period, metrics in look(workspace.root).metrics.items()}


def rows_of(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a CSV file."""
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    return header, rows


def text_of(header: list[str], rows: list[list[str]]) -> str:
    """Back to CSV."""
    return "\n".join(",".join(row) for row in [header, *rows]) + "\n"


@pytest.mark.timeout(300)
def test_telco_in_three_months(make_workspace: MakeWorkspace, shared_data: Path) -> None:
    """Each third of the file is a month; the whole file is a fourth."""
    workspace = make_workspace(drops="telco_{period}.csv")
    header, rows = rows_of(shared_data / "ibm_telco_customer_churn.csv")
    for month in range(3):
        workspace.drop(f"telco_2025_{month + 1:02}.csv", text_of(header, rows[month::3]))
    workspace.drop("telco_2025_04.csv", text_of(header, rows))
    scores = train(workspace)
    assert all(scores[f"2025-0{month}"] >= 0.80 for month in (1, 2, 3)), scores
    assert scores["2025-04"] >= 0.83, scores


@pytest.mark.timeout(300)
def test_call_records_by_their_own_months(make_workspace: MakeWorkspace, shared_data: Path) -> None:
    """Customers recur across months and are kept apart: a figure near .96 would mean that the split leaks."""
    workspace = make_workspace(drops="cdr_{period}.csv", entity_column="customerid")
    header, rows = rows_of(shared_data / "ms_telco_edw_cdr_monthly.csv")
    months = defaultdict(list)
    for row in rows:
        months[f"{row[header.index('year')]}_{int(row[header.index('month')]):02}"].append(row)
    for month, part in months.items():
        workspace.drop(f"cdr_{month}.csv", text_of(header, part))
    scores = train(workspace)
    assert sorted(scores) == ["2015-01", "2015-02", "2015-03"]
    assert all(0.60 <= score <= 0.80 for score in scores.values()), scores


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("name", "least"), [("mlc_churn_5000_tidymodels.csv", 0.89), ("iranian_churn.csv", 0.96)])
def test_single_drops(make_workspace: MakeWorkspace, shared_data: Path, name: str, least: float) -> None:
    """One file, one champion."""
    workspace = make_workspace()
    workspace.drop("churn_data_2025_01.csv", (shared_data / name).read_bytes())
    assert train(workspace)["2025-01"] >= least
    assert workspace.status()["champion"]["version"] == "1"
