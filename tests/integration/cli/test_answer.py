"""`approve` and `reject`: what they write into the ledger, what they refuse, and what is shown around them."""

from pathlib import Path

import pytest

from tests.builders import MODEL, NOW, a_drop
from tests.integration.cli.conftest import Call
from tests.integration.ledger_story import Storyteller
from trainer_daemon.adapters.ledger import Change
from trainer_daemon.policy.runs import Run, RunState


@pytest.fixture
def story(folder: Path) -> Storyteller:
    """Version 1 is champion, version 2 waits for approval."""
    with (folder / "trainer.toml").open("a") as file:
        file.write("[models.promotion]\napproval_expiry_days = 3650\n")
    told = Storyteller(folder / "ledger.db")
    told.judged(a_drop("2025-01"), "1", log_loss=0.55)
    told.waits(a_drop("2025-03"), "2")
    return told


def the_waiting(story: Storyteller) -> Run:
    """The run that waits."""
    return next(run for run in story.ledger.live_runs(MODEL) if run.state is RunState.AWAITING_APPROVAL)


@pytest.mark.parametrize(("command", "approved", "said"), [("approve", True, "Approved"), ("reject", False, "Rejected")])
def test_answer_is_recorded_with_who_and_why(call: Call, story: Storyteller, *, command: str, approved: bool, said: str) -> None:
    """The daemon acts on it; the command moves nothing itself."""
    run = the_waiting(story)
    answer = call(command, run.name, "--by", "ann", "--reason", " checked the slices ")
    assert (answer.code, answer.out.startswith(f"{said} version 2 of run {run.name}. No daemon is running")) == (0, True)
    recorded = the_waiting(story).answer
    assert recorded
    assert (recorded.approved, recorded.by, recorded.reason) == (approved, "ann", "checked the slices")


@pytest.mark.parametrize("word", ["2", "key"])
def test_run_is_found_by_its_version_and_by_its_key(call: Call, story: Storyteller, word: str) -> None:
    """Whatever is at hand; without a name it is the user of the system who says so."""
    named = the_waiting(story).key[:8] if word == "key" else word
    assert call("approve", named, "--reason", "fine").code == 0
    recorded = the_waiting(story).answer
    assert recorded
    assert recorded.by


def test_what_was_answered_is_not_answered_again(call: Call, story: Storyteller) -> None:
    """The first word counts."""
    assert call("approve", "2", "--reason", "fine").code == 0
    answer = call("reject", "2", "--reason", "no")
    assert (answer.code, "somebody has answered about run" in answer.err) == (1, True)
    assert getattr(the_waiting(story).answer, "approved", None) is True


def test_what_does_not_wait_is_refused_with_what_does(call: Call, story: Storyteller) -> None:
    """By its state, or because there is no such run."""
    promoted = next(iter(story.ledger.runs_for_content(MODEL, a_drop("2025-01"))))
    answer = call("approve", promoted.name, "--reason", "fine")
    assert (answer.code, answer.out) == (1, "")
    name = the_waiting(story).name
    assert f"does not wait for approval, it is PROMOTED; for approval wait: {name} (version 2)" in answer.err
    assert "there is no run 99; for approval wait:" in call("approve", "99", "--reason", "fine").err


def test_approval_that_comes_too_late_is_refused(call: Call, story: Storyteller, folder: Path) -> None:
    """With what a person can do all the same; a rejection is never too late."""
    config = folder / "trainer.toml"
    config.write_text(config.read_text().replace("3650", "14"))
    answer = call("approve", "2", "--reason", "fine")
    assert (answer.code, answer.out, the_waiting(story).answer) == (1, "", None)
    assert "waited for approval until 2026-" in answer.err
    assert "`trainer-daemon promote 2 --force --reason WHY` makes it champion all the same" in answer.err
    assert call("reject", "2", "--reason", "no").code == 0


@pytest.mark.usefixtures("story")
@pytest.mark.parametrize("reason", [(), ("--reason", " ")])
def test_reason_is_needed(call: Call, reason: tuple[str, ...]) -> None:
    """Who asks later has to find one."""
    answer = call("approve", "2", *reason)
    assert (answer.code, "--reason" in answer.err) == (2, True)


def test_status_and_explain_say_what_to_do(call: Call, story: Storyteller) -> None:
    """With commands that can be copied, until somebody has answered."""
    name = the_waiting(story).name
    assert f"For approval: `trainer-daemon approve {name} --reason WHY`" in call("status").out
    assert f"`trainer-daemon reject {name} --reason WHY` leaves the champion in place" in call("explain", "2").out
    assert call("approve", "2", "--by", "ann", "--reason", "fine").code == 0
    assert "For approval" not in call("status").out
    assert "It was approved by ann: fine; the daemon carries it out" in call("explain", "2").out


def test_rejection_by_a_person_is_told_as_one(call: Call, story: Storyteller) -> None:
    """Although the rules had passed."""
    why = "rejected by ann: the campaign distorts this month"
    story.ledger.advance(the_waiting(story), RunState.REJECTED, why=why, now=NOW, change=Change(error=why))
    assert why in " ".join(call("status").out.split())
    told = call("explain", "2").out
    assert told.count(why) == 2
    assert "Nothing has to be done: the champion goes on serving." in told
