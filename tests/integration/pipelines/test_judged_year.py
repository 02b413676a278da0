"""A year of real customers: every decision is explained, spoilt months are refused, other rules are tried on what is stored."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.tracking import connect
from tests.integration.pipelines.judged_year import CONFIGURATION, LEAKED, MONTHS, OWN_RULES, SHUFFLED, the_year
from trainer_daemon.adapters.ledger.history import History, Judgement, open_history
from trainer_daemon.cli import main
from trainer_daemon.policy.observations import Verdict
from trainer_daemon.policy.promotion import Result
from trainer_daemon.policy.runs import RunState

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),  # MLflow's own use of SQLAlchemy
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred"),  # MLflow's own type hints
]
MARKS = {Result.PASSED: "passed", Result.FAILED: "FAILED", Result.NOT_APPLICABLE: "does not apply"}
Call = Callable[..., str]


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Path:
    """Fourteen months, judged."""
    return the_year(tmp_path_factory.getbasetemp(), shared_data / "ibm_telco_customer_churn.csv")


@pytest.fixture
def history(year: Path) -> Iterator[History]:
    """Its ledger."""
    opened = open_history(f"sqlite:///{year}/ledger.db")
    assert opened is not None
    with opened as past:
        yield past


@pytest.fixture
def call(year: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls the command line, and returns what it says."""

    def run(command: str, *arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main([command, "--config", str(year / "trainer.toml"), *arguments])
        said = capsys.readouterr()
        assert not ended.value.code, said.err
        return said.out

    return run


def judgements(history: History) -> dict[str, Judgement]:
    """The decision of every period."""
    return {run.period: history.judgements(run.key)[-1] for run in history.runs("churn")}


def failed(made: Judgement) -> list[str]:
    """Names of the rules that failed."""
    return [outcome.rule for outcome in made.decision.outcomes if outcome.result is Result.FAILED]


def replayed(call: Call, folder: Path, rules: str) -> dict[str, dict[str, Any]]:
    """What `replay` says of every period under other rules."""
    other = folder / "other.toml"
    other.write_text(CONFIGURATION + rules)
    answer = json.loads(call("replay", "--policy", str(other), "--json"))
    return {each["period"]: each for each in answer["models"][0]["decisions"]}


def test_every_decision_of_the_year_is_explained(call: Call, history: History) -> None:
    """`explain` has a sentence for each rule of each month; the first month became champion without anybody to beat."""
    made = judgements(history)
    assert sorted(made) == sorted(MONTHS)
    assert made["2025-01"].decision.verdict is Verdict.PROMOTE
    for period in MONTHS:
        (story,) = json.loads(call("explain", period, "--json"))["stories"]
        told = {detail for entry in story["timeline"] for detail in entry["details"]}
        rules = made[period].decision.outcomes
        assert {f"{MARKS[rule.result]}: {rule.sentence}" for rule in rules} <= told
        assert "confidence[log_loss]" in {rule.rule for rule in rules}
        assert story["next"]
    unsure = [period for period in MONTHS[1:12] if "confidence[log_loss]" in failed(made[period])]
    assert len(unsure) >= 6, "the customers do not change, so that hardly anybody can be sure to be better"


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


def test_replay_by_the_same_rules_changes_nothing(call: Call, year: Path, tmp_path: Path) -> None:
    """Neither a decision nor a byte of the ledger."""
    before = hashlib.sha256((year / "ledger.db").read_bytes()).digest()
    assert not [period for period, each in replayed(call, tmp_path, OWN_RULES).items() if each["differs"]]
    assert hashlib.sha256((year / "ledger.db").read_bytes()).digest() == before


def test_replay_shows_whom_only_confidence_kept_from_being_promoted(call: Call, history: History, tmp_path: Path) -> None:
    """Those, and nobody else: their evaluations are the stored ones."""
    only_unsure = {period for period, made in judgements(history).items() if failed(made) == ["confidence[log_loss]"]}
    assert only_unsure
    differing = {period for period, each in replayed(call, tmp_path, "").items() if each["differs"]}
    assert differing == only_unsure


def test_worse_slice_blocks_candidates_that_are_better_overall(call: Call, tmp_path: Path) -> None:
    """Some that would be promoted without the rule are rejected with it, and the sentence names the customers."""
    better = {period for period, each in replayed(call, tmp_path, "").items() if each["now"]["verdict"] == "promote"}
    guarded = replayed(call, tmp_path, "max_slice_loss = { log_loss = 0.02 }\n")
    blocked = {period: guarded[period]["now"]["reasons"] for period in better if guarded[period]["now"]["verdict"] == "reject"}
    assert blocked
    for reasons in blocked.values():
        assert len(reasons) == 1
        assert reasons[0].startswith("worst where ")


def test_every_version_says_what_became_of_it(year: Path, history: History) -> None:
    """Its model card in MLflow, and the report beside its evidence."""
    client = connect(f"sqlite:///{year}/mlflow.db")
    cards = {str(found.version): found.description or "" for found in client.search_model_versions("name = 'churn'")}
    assert len(cards) == len(MONTHS)
    for run in history.runs("churn"):
        headline = cards[run.model_version].splitlines()[0]
        assert headline.startswith("Promoted on" if run.state is RunState.PROMOTED else "Rejected on")
        assert run.name in cards[run.model_version]
    pages = [path.read_text() for path in (year / "artifacts").rglob("report.html")]
    assert len(pages) == len(MONTHS)
    assert all(("<strong>Promoted: " in page) != ("<strong>Rejected: " in page) for page in pages)


def test_report_written_from_the_ledger_is_the_one_in_mlflow(call: Call, year: Path, history: History, tmp_path: Path) -> None:
    """With every rule, every drawing, and every period until then."""
    file = tmp_path / "june.html"
    assert str(file) in call("report", "2025-06", "--out", str(file))
    page = file.read_text()
    assert page in [path.read_text() for path in (year / "artifacts").rglob("report.html")]
    assert all(rule.rule in page for rule in judgements(history)["2025-06"].decision.outcomes)
    assert page.count("<svg") == 6
    assert [f'<th scope="row">{period}' in page for period in ("2025-01", "2025-06", "2025-07")] == [True, True, False]
