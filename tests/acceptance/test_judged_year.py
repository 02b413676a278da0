"""A year of real customers: every decision is explained, spoilt months are refused, other rules are tried on what is stored."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.harness import Workspace
from tests.acceptance.registry_view import look
from tests.acceptance.telco_year import LEAKED, MONTHS, PROMOTION, SHUFFLED, shared_folder, the_year
from trainer_daemon.adapters.ledger.history import History, Judgement, open_history
from trainer_daemon.commands.explain import tell
from trainer_daemon.commands.opening import open_session
from trainer_daemon.commands.timeline import MARKS
from trainer_daemon.policy.observations import Verdict
from trainer_daemon.policy.promotion import Result
from trainer_daemon.policy.runs import RunState

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Workspace:
    """Fourteen months, judged."""
    return the_year(shared_folder(tmp_path_factory.getbasetemp()), shared_data / "ibm_telco_customer_churn.csv")


@pytest.fixture
def history(year: Workspace) -> Iterator[History]:
    """Its ledger."""
    opened = open_history(f"sqlite:///{year.root / 'var' / 'ledger.db'}")
    assert opened is not None
    with opened as past:
        yield past


def judgements(history: History) -> dict[str, Judgement]:
    """The decision of every period."""
    return {run.period: history.judgements(run.key)[-1] for run in history.runs("churn")}


def failed(made: Judgement) -> list[str]:
    """Names of the rules that failed."""
    return [outcome.rule for outcome in made.decision.outcomes if outcome.result is Result.FAILED]


def replayed(year: Workspace, name: str, **promotion: Any) -> dict[str, dict[str, Any]]:  # noqa: ANN401 - any key
    """What `replay` says of every period under other rules."""
    other = Workspace(year.root.parent / f"{year.root.name}-{name}", model={"promotion": promotion})
    done = year.call("replay", "--policy", str(other.config), "--json")
    assert done.returncode == 0, done.stderr
    return {each["period"]: each for each in json.loads(done.stdout)["models"][0]["decisions"]}


def test_every_decision_of_the_year_is_explained(year: Workspace, history: History) -> None:
    """`explain` has a sentence for each rule of each month, and the first month became champion without anybody to beat."""
    made = judgements(history)
    assert sorted(made) == sorted(MONTHS)
    assert made["2025-01"].decision.verdict is Verdict.PROMOTE
    session = open_session(year.config)
    for period in MONTHS:
        (story,) = tell(period, session, history, ("churn",))
        told = {detail for entry in story.entries for detail in entry.details}
        rules = made[period].decision.outcomes
        assert {f"{MARKS[rule.result]}: {rule.sentence}" for rule in rules} <= told
        assert "confidence[log_loss]" in {rule.rule for rule in rules}
        assert story.next_steps
    compared = [made[period] for period in MONTHS[1:12] if "confidence[log_loss]" in failed(made[period])]
    assert len(compared) >= 6, "the customers do not change, so that hardly anybody can be sure to be better"


def test_month_with_shuffled_labels_is_refused(history: History) -> None:
    """It ranks nobody, and the rule that says so is named."""
    made = judgements(history)[SHUFFLED]
    assert made.decision.verdict is Verdict.REJECT
    assert "threshold[roc_auc]" in failed(made)


def test_month_with_a_leaked_column_is_flagged(history: History) -> None:
    """Nobody believes a candidate that is never wrong, and the column is named."""
    made = judgements(history)[LEAKED]
    assert made.decision.verdict is Verdict.REJECT
    assert {"leak_suspected[roc_auc]", "leak_suspected[columns]"} <= set(failed(made))
    assert any("'Partner' alone tells the label" in sentence for sentence in made.decision.reasons)


def test_replay_by_the_same_rules_changes_nothing(year: Workspace) -> None:
    """Neither a decision nor a byte of the ledger."""
    ledger = year.root / "var" / "ledger.db"
    before = hashlib.sha256(ledger.read_bytes()).digest()
    assert not [period for period, each in replayed(year, "same", **PROMOTION).items() if each["differs"]]
    assert hashlib.sha256(ledger.read_bytes()).digest() == before


def test_replay_shows_whom_only_confidence_kept_from_being_promoted(year: Workspace, history: History) -> None:
    """Those, and nobody else: their evaluations are the stored ones."""
    only_unsure = {period for period, made in judgements(history).items() if failed(made) == ["confidence[log_loss]"]}
    assert only_unsure
    differing = {period for period, each in replayed(year, "loose", confidence=0.0).items() if each["differs"]}
    assert differing == only_unsure


def test_worse_slice_blocks_candidates_that_are_better_overall(year: Workspace) -> None:
    """Some that would be promoted without the rule are rejected with it, and the sentence names the customers."""
    better = {period for period, each in replayed(year, "loose", confidence=0.0).items() if each["now"]["verdict"] == "promote"}
    guarded = replayed(year, "guarded", confidence=0.0, max_slice_loss={"log_loss": 0.02})
    blocked = {period: guarded[period]["now"]["reasons"] for period in better if guarded[period]["now"]["verdict"] == "reject"}
    assert blocked
    for reasons in blocked.values():
        assert len(reasons) == 1
        assert reasons[0].startswith("worst where ")


def test_every_version_says_what_became_of_it(year: Workspace, history: History) -> None:
    """Its model card in MLflow, and the report beside its evidence."""
    view = look(year.root)
    for run in history.runs("churn"):
        headline = view.descriptions[run.model_version].splitlines()[0]
        assert headline.startswith("Promoted on" if run.state is RunState.PROMOTED else "Rejected on")
        assert run.name in view.descriptions[run.model_version]
    reports = [path.read_text() for path in year.root.glob("var/**/artifacts/**/report.html")]
    assert len(reports) == len(MONTHS)
    assert all(("<strong>Promoted: " in page) != ("<strong>Rejected: " in page) for page in reports)


def test_report_is_written_from_the_ledger(year: Workspace, history: History, tmp_path: Path) -> None:
    """The same page as in MLflow, with every rule and every period until then."""
    (run,) = (run for run in history.runs("churn") if run.period == "2025-06")
    page = tmp_path / "june.html"
    done = year.call("report", "2025-06", "--out", str(page))
    assert done.returncode == 0, done.stderr
    text = page.read_text()
    assert str(page) in done.stdout
    assert all(rule.rule in text for rule in judgements(history)["2025-06"].decision.outcomes)
    assert [period in text for period in ("2025-01", "2025-06", "2025-07")] == [True, True, False]
    assert text in [path.read_text() for path in year.root.glob("var/**/report.html")], run.name
