"""A year of real customers through the real daemon: every month is decided on evidence, and people act on it afterwards."""

import csv
import hashlib
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import MakeWorkspace
from tests.acceptance.harness import Workspace
from tests.acceptance.registry_view import RegistryView, look

MONTHS = tuple(f"2025-{month:02}" for month in range(1, 13))
SHUFFLED, LEAKED = "2025-06", "2025-09"
FIRST_ROWS, MORE_ROWS = 250, 61
"""Every month has more customers than the one before, so that the first champion is one that can be beaten."""
RULES: Mapping[str, Any] = {"thresholds": {"roc_auc": 0.7}, "min_slice_rows": 25}
OWN_RULES: Mapping[str, Any] = {**RULES, "confidence": 0.9}
UNSURE = "confidence[log_loss]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Year:
    """A workspace whose daemon has decided twelve months.

    Attributes:
        periods: By version.
        decisions: By period, as MLflow has them.
    """

    workspace: Workspace
    registry: RegistryView
    periods: dict[str, str]
    decisions: dict[str, dict[str, Any]]

    @property
    def promoted(self) -> list[str]:
        """Months whose candidate became champion."""
        return [period for period in MONTHS if self.decisions[period]["verdict"] == "promote"]

    def failed(self, period: str) -> list[str]:
        """Names of the rules that a month failed."""
        return [rule["rule"] for rule in self.decisions[period]["rules"] if rule["result"] == "failed"]

    def told(self, *command: str) -> Any:  # noqa: ANN401 - any JSON
        """What a command answers for programs."""
        return json.loads(said(self.workspace, *command, "--json"))

    def replayed(self, **rules: object) -> dict[str, dict[str, Any]]:
        """What other rules would have decided."""
        other = Workspace(self.workspace.root / "other", model={"promotion": rules})
        (model,) = self.told("replay", "--policy", str(other.config))["models"]
        return {each["period"]: each for each in model["decisions"]}

    def champions(self) -> list[tuple[str, str]]:
        """Who was champion, by period and cause, oldest first."""
        (model,) = self.told("history")["models"]
        return [(each["period"], each["cause"]) for each in model["champions"]]


def said(workspace: Workspace, *command: str) -> str:
    """What a command answers."""
    done = workspace.ask(*command)
    assert done.returncode == 0, done.stderr
    return done.stdout


def drops_of(file: Path) -> Iterator[tuple[str, str]]:
    """Months of the file's customers, growing; in one the labels are shuffled, in another column `Partner` holds them."""
    with file.open(newline="") as opened:
        header, *rows = csv.reader(opened)
    label, partner = header.index("Churn"), header.index("Partner")
    for number, period in enumerate(MONTHS):
        month, rows = rows[: FIRST_ROWS + MORE_ROWS * number], rows[FIRST_ROWS + MORE_ROWS * number :]
        labels = [row[label] for row in month]
        if period == SHUFFLED:
            random.Random(1).shuffle(labels)
        for row, own in zip(month, labels, strict=True):
            row[label] = own
            row[partner] = own if period == LEAKED else row[partner]
        yield period, "\n".join(map(",".join, [header, *month])) + "\n"


def decided(workspace: Workspace) -> Year:
    """Read what became of the months."""
    registry = look(workspace.root)
    periods = {run["model_version"]: run["period"] for run in workspace.status()["runs"]}
    decisions = {periods[version]: json.loads(tags["trainer.decision"]) for version, tags in registry.versions.items()}
    return Year(workspace=workspace, registry=registry, periods=periods, decisions=decisions)


@pytest.mark.timeout(1800)
def test_year_of_real_customers_is_decided_on_evidence(make_workspace: MakeWorkspace, shared_data: Path) -> None:
    """With `confidence = 0.9` each decision is explained, spoilt months are refused, and what is stored answers other rules."""
    workspace = make_workspace(training={"estimator": "logistic_regression"}, promotion=OWN_RULES)
    for period, text in drops_of(shared_data / "ibm_telco_customer_churn.csv"):
        workspace.drop(f"churn_data_{period.replace('-', '_')}.csv", text)
    assert workspace.run_until_idle(1200) == 0
    year = decided(workspace)
    require_every_decision_explained(year)
    require_spoilt_months_refused(year)
    require_replay_to_tell_what_rules_decide(year)
    require_report_as_in_mlflow(year)
    require_rollback(year)


def require_every_decision_explained(year: Year) -> None:
    """Each rule has a sentence, and a decision is what its rules say; in MLflow, on the version's card, and by `explain`."""
    assert sorted(year.decisions) == list(MONTHS)
    for period, decision in year.decisions.items():
        assert UNSURE in {rule["rule"] for rule in decision["rules"]}
        assert all(rule["sentence"] for rule in decision["rules"])
        assert (decision["verdict"] == "reject") == bool(year.failed(period))
        assert period in (SHUFFLED, LEAKED) or year.registry.metrics[period]["roc_auc"] > 0.75
    assert year.promoted[0] == MONTHS[0]
    assert len(year.promoted) == 2, "one later month has so much more to learn from that it is sure to be better"
    unsure = [period for period in MONTHS if UNSURE in year.failed(period)]
    assert len(unsure) >= 6, "otherwise the customers do not change, so that hardly anybody can be sure to be better"
    for version, card in year.registry.cards.items():
        headline = "Promoted on" if year.registry.versions[version]["validation_status"] == "approved" else "Rejected on"
        assert card.startswith(headline)
    (story,) = year.told("explain", unsure[0])["stories"]
    details = {detail.partition(": ")[2] for entry in story["timeline"] for detail in entry["details"]}
    assert {rule["sentence"] for rule in year.decisions[unsure[0]]["rules"]} <= details
    assert UNSURE in story["next"][0]


def require_spoilt_months_refused(year: Year) -> None:
    """The rule is named, and so is the column that holds the label."""
    assert "threshold[roc_auc]" in year.failed(SHUFFLED)
    assert {"leak_suspected[roc_auc]", "leak_suspected[columns]"} <= set(year.failed(LEAKED))
    (story,) = year.told("explain", LEAKED)["stories"]
    assert any("FAILED: 'Partner' alone tells the label" in detail for entry in story["timeline"] for detail in entry["details"])
    assert "leak_suspected[columns]" in story["next"][0]


def require_replay_to_tell_what_rules_decide(year: Year) -> None:
    """The same rules decide the same; others differ in whom they alone kept out; a worse slice blocks who is better overall."""
    ledger = year.workspace.root / "var" / "ledger.db"
    before = hashlib.sha256(ledger.read_bytes()).digest()
    assert not [period for period, each in year.replayed(**OWN_RULES).items() if each["differs"]]
    differing = {period for period, each in year.replayed(**RULES).items() if each["differs"]}
    assert differing == {period for period in MONTHS if year.failed(period) == [UNSURE]}
    assert differing
    guarded = year.replayed(**RULES, max_slice_loss={"log_loss": 0.05})
    blocked = [guarded[period]["now"] for period in differing if guarded[period]["now"]["verdict"] == "reject"]
    assert blocked, "months that are better over all customers, and worse for some"
    assert all(len(now["reasons"]) == 1 and now["reasons"][0].startswith("worst where ") for now in blocked)
    assert hashlib.sha256(ledger.read_bytes()).digest() == before


def require_report_as_in_mlflow(year: Year) -> None:
    """Written from the ledger, with every rule, every drawing, and every period until then."""
    file = year.workspace.root / "may.html"
    assert str(file) in said(year.workspace, "report", "2025-05", "--out", str(file))
    page = file.read_text()
    kept = [path.read_text() for path in (year.workspace.root / "var" / "mlartifacts").rglob("report.html")]
    assert len(kept) == len(MONTHS)
    assert page in kept
    assert all(rule["rule"] in page for rule in year.decisions["2025-05"]["rules"])
    assert page.count("<svg") == 6
    assert [f'<th scope="row">{period}' in page for period in ("2025-01", "2025-05", "2025-07")] == [True, True, False]


def require_rollback(year: Year) -> None:
    """The champion before is champion again, the history says why, and the run of who had to go cannot bring it back."""
    first, second = year.promoted
    told = said(year.workspace, "rollback", "--reason", "scores are off", "--by", "ann")
    assert "cannot become champion again by itself" in told
    said(year.workspace, "trigger", "--period", second)
    assert year.workspace.run_until_idle() == 0
    assert year.champions() == [(first, "promoted"), (second, "promoted"), (first, "rollback")]
    registry = look(year.workspace.root)
    assert {name: year.periods[version] for name, version in registry.aliases.items()} == {
        "champion": first,
        "previous-champion": second,
        "candidate": MONTHS[-1],
    }
    assert "rolled back by ann: scores are off" in registry.versions[registry.aliases["previous-champion"]]["trainer.rolled_back"]
    (settled,) = year.workspace.logged("event_duplicated")
    assert "ended REJECTED" in settled["reason"]
