"""`report` against a ledger in which everything has happened once."""

import hashlib
from datetime import timedelta
from pathlib import Path

import pytest

from tests.builders import a_drop
from tests.integration.cli.conftest import Call
from tests.integration.ledger_story import Storyteller
from trainer_daemon.policy.answers import Answer
from trainer_daemon.policy.runs import RunState


def test_report_is_a_file_called_like_the_run(call: Call, past: Storyteller, folder: Path) -> None:
    """With decision, rules, metrics and the months until then; the ledger stays as it is."""
    run = next(run for run in past.ledger.judged("churn") if run.version == "2")
    before = hashlib.sha256((folder / "ledger.db").read_bytes()).digest()
    answer = call("report", run.run_key[:12])
    (page,) = folder.glob("churn-2025-03-*.html")
    assert answer.out == f"The report of run {page.stem} is in {page.name}.\n"
    text = page.read_text()
    assert "<strong>Promoted: version 2 in place of champion version 1</strong>" in text
    assert "min_gain[log_loss]" in text
    assert [f'<th scope="row">{period}' in text for period in ("2025-01", "2025-03", "2025-04")] == [True, True, False]
    assert hashlib.sha256((folder / "ledger.db").read_bytes()).digest() == before


@pytest.mark.parametrize("word", ["4", "2025-04", "churn_data_2025_04.csv"])
@pytest.mark.usefixtures("past")
def test_run_may_be_named_in_any_way_that_means_one(call: Call, folder: Path, word: str) -> None:
    """A period or a drop; a version only when it is that of a run."""
    answer = call("report", word, "--out", "june.html")
    if word == "4":
        assert (answer.code, answer.err) == (1, "error: there is no run 4; `trainer-daemon status` shows those there are\n")
    else:
        assert "<strong>Rejected: champion version 2 stays</strong>" in (folder / "june.html").read_text()


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("2025-08", "has not been judged, it is RUNNING; `trainer-daemon explain churn-2025-08-"),
        ("2025-10", "there is no run 2025-10"),
        ("nonsense", "there is no run nonsense"),
    ],
)
@pytest.mark.usefixtures("past")
def test_what_has_no_report_is_said(call: Call, folder: Path, word: str, sentence: str) -> None:
    """One sentence, and no file."""
    answer = call("report", word)
    assert answer.code == 1
    assert sentence in answer.err
    assert list(folder.glob("*.html")) == []


@pytest.mark.usefixtures("folder")
def test_ledger_that_does_not_exist_yet_has_no_runs(call: Call) -> None:
    """And is not created."""
    assert "there is no run 2025-03" in call("report", "2025-03").err
    assert not Path("ledger.db").exists()


@pytest.mark.usefixtures("past")
def test_file_that_cannot_be_written_is_named(call: Call) -> None:
    """With the reason."""
    answer = call("report", "2025-04", "--out", "missing/report.html")
    assert (answer.code, answer.err) == (1, "error: missing/report.html cannot be written: No such file or directory\n")


def test_two_runs_of_a_month_have_to_be_told_apart(call: Call, folder: Path) -> None:
    """Both are named."""
    story = Storyteller(folder / "ledger.db")
    story.judged(a_drop("2025-04"), "3", log_loss=0.7)
    story.judged(a_drop("2025-04", content="corrected", generation="2"), "4", log_loss=0.71)
    answer = call("report", "2025-04")
    assert answer.code == 1
    assert answer.err.count("churn-2025-04-") == 2


@pytest.mark.parametrize("approved", [True, False])
def test_answer_of_a_person_is_among_the_rules(call: Call, folder: Path, *, approved: bool) -> None:
    """The ledger keeps it beside the decision."""
    story = Storyteller(folder / "ledger.db")
    run = story.waits(a_drop("2025-01"), "1")
    assert call("report", "1", "--out", "waiting.html").code == 0
    assert "<strong>Waits for approval: version 1 passed the rules</strong>" in (folder / "waiting.html").read_text()
    said = Answer(approved=approved, by="ann", reason="seen", at=story.tick() + timedelta(minutes=1))
    story.ledger.answer(run, said)
    became = RunState.PROMOTED if approved else RunState.REJECTED
    story.ledger.advance(run, became, why=said.sentence, now=story.tick())
    assert call("report", "1", "--out", "answered.html").code == 0
    page = (folder / "answered.html").read_text()
    assert f"{said.sentence}<small>approval</small>" in page
    assert ("✗ failed" in page) != approved
