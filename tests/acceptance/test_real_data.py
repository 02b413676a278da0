"""Real churn data, trained by the daemon itself, with no special code per file."""

import csv
import json
from collections import defaultdict
from pathlib import Path

import pytest

from tests.acceptance.conftest import MakeWorkspace
from tests.acceptance.harness import Workspace
from tests.acceptance.registry_view import look

PATIENCE_S = 1500.0
MODELS: dict[str, dict[str, str]] = {
    "telco": {"drops": "telco_{period}.csv"},
    "calls": {"drops": "cdr_{period}.csv", "entity_column": "customerid"},
    "tidymodels": {"drops": "churn_data_{period}.csv"},
    "iranian": {"drops": "churn_data_{period}.csv"},
}
"""One for each file, with its keys beside name and bucket."""


def rows_of(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a CSV file."""
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    return header, rows


def text_of(header: list[str], rows: list[list[str]]) -> str:
    """Back to CSV."""
    return "\n".join(",".join(row) for row in [header, *rows]) + "\n"


def with_models(make_workspace: MakeWorkspace) -> Workspace:
    """A daemon of all of them, which learns what is common once."""
    (first, keys), *others = MODELS.items()
    workspace = make_workspace(name=first, bucket=f"drops/{first}", **keys)
    with workspace.config.open("a") as config:
        for name, more in others:
            table = {"name": name, "bucket": f"drops/{name}", "retry_backoff_s": 0.1, **more}
            config.write("\n".join(["[[models]]", *(f"{key} = {json.dumps(value)}" for key, value in table.items()), ""]))
    for name in MODELS:
        (workspace.drops / name).mkdir()
    return workspace


def drop(workspace: Workspace, model: str, period: str, data: str | bytes) -> None:
    """Upload a month of a model."""
    workspace.drop(f"{model}/{MODELS[model]['drops'].format(period=period)}", data)


def drop_telco(workspace: Workspace, file: Path) -> None:
    """A third of the file is a month; the whole file is the next."""
    header, rows = rows_of(file)
    drop(workspace, "telco", "2025_01", text_of(header, rows[::3]))
    drop(workspace, "telco", "2025_02", text_of(header, rows))


def drop_calls(workspace: Workspace, file: Path) -> None:
    """By their own months."""
    header, rows = rows_of(file)
    months = defaultdict(list)
    for row in rows:
        months[f"{row[header.index('year')]}_{int(row[header.index('month')]):02}"].append(row)
    for month, part in months.items():
        drop(workspace, "calls", month, text_of(header, part))


def scores_of(workspace: Workspace, model: str) -> dict[str, float]:
    """Holdout ROC-AUC of each period's candidate."""
    return {period: metrics["roc_auc"] for period, metrics in look(workspace.root, model).metrics.items()}


@pytest.mark.timeout(1800)
def test_real_data_is_trained_as_well_as_it_can_be(make_workspace: MakeWorkspace, shared_data: Path) -> None:
    """Customers that recur across months are kept apart: a figure near .96 for the calls would mean that the split leaks."""
    workspace = with_models(make_workspace)
    drop_telco(workspace, shared_data / "ibm_telco_customer_churn.csv")
    drop_calls(workspace, shared_data / "ms_telco_edw_cdr_monthly.csv")
    drop(workspace, "tidymodels", "2025_01", (shared_data / "mlc_churn_5000_tidymodels.csv").read_bytes())
    drop(workspace, "iranian", "2025_01", (shared_data / "iranian_churn.csv").read_bytes())
    assert workspace.run_until_idle(PATIENCE_S) == 0

    models = {model["name"]: model for model in json.loads(workspace.ask("status", "--json").stdout)["models"]}
    assert {run["state"] for model in models.values() for run in model["runs"]} <= {"PROMOTED", "REJECTED"}
    telco, calls = scores_of(workspace, "telco"), scores_of(workspace, "calls")
    assert telco["2025-01"] >= 0.80, telco
    assert telco["2025-02"] >= 0.83, telco
    assert sorted(calls) == ["2015-01", "2015-02", "2015-03"]
    assert all(0.60 <= score <= 0.80 for score in calls.values()), calls
    for name, least in (("tidymodels", 0.89), ("iranian", 0.96)):
        assert scores_of(workspace, name)["2025-01"] >= least
        assert models[name]["champion"]["version"] == "1"
