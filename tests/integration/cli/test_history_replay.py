"""`history` and `replay` against a ledger in which everything has happened once."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.builders import MODEL, NOW, a_champion, a_drop, an_intervention
from tests.integration.cli.conftest import Call
from tests.integration.ledger_story import Storyteller, advanced
from trainer_daemon.adapters.ledger.history import open_history
from trainer_daemon.policy.observations import Champion
from trainer_daemon.policy.runs import RunState

AS_IT_WAS = "leak_column_auc = 1\nleak_bounds = {}\nmax_loss = { roc_auc = 0.05 }\nthresholds = { roc_auc = 0.6 }\n"
"""The rules by which the past was judged."""


def rules(folder: Path, text: str, name: str = MODEL) -> str:
    """A configuration file with other rules of promotion."""
    head = f'[[models]]\nname = "{name}"\nbucket = "file:///drops"\n[models.promotion]\n'
    (folder / "other.toml").write_text(head + text)
    return "other.toml"


def decisions(call: Call, *arguments: str) -> list[dict[str, Any]]:
    """Of the one model."""
    answer = call("replay", "--json", *arguments)
    assert (answer.code, answer.err) == (0, "")
    (model,) = json.loads(answer.out)["models"]
    return list(model["decisions"])


@pytest.mark.usefixtures("past")
def test_same_rules_make_the_same_decisions(call: Call, folder: Path) -> None:
    """To the sentence, so that every difference is one of the rules."""
    found = decisions(call, "--policy", rules(folder, AS_IT_WAS))
    assert [each["then"]["verdict"] for each in found] == ["promote", "promote", "reject"]
    assert [each["now"] for each in found] == [each["then"] for each in found]
    assert call("replay", "--policy", "other.toml").out == "churn: 0 of 3 decisions would be different\n"


@pytest.mark.usefixtures("past")
def test_stricter_rules_show_what_they_would_have_refused(call: Call, folder: Path) -> None:
    """With the rule that makes the difference."""
    file = rules(folder, AS_IT_WAS + "min_gain = 0.2\n")
    found = decisions(call, "--policy", file)
    assert [(each["version"], each["differs"]) for each in found] == [("1", False), ("2", True), ("3", False)]
    assert found[1]["now"]["verdict"] == "reject"
    assert "better by more than 0.2 is needed" in found[1]["now"]["reasons"][0]
    told = call("replay", "--policy", file).out
    assert told.startswith("churn: 1 of 3 decisions would be different")
    assert "then promote: " in told
    assert "now  reject: log_loss 0.5000 against the champion's 0.6000" in told


@pytest.mark.usefixtures("past")
def test_what_the_environment_says_of_the_daemons_rules_does_not_speak_for_the_others(
    call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is judged by as it stands, and needs not have what the daemon's variables override."""
    own = folder / "trainer.toml"
    own.write_text(own.read_text() + '[[notifications]]\nname = "chat"\nurl = "http://x"\nformat = "slack"\n')
    monkeypatch.setenv("TRAINER_MODELS__CHURN__PROMOTION__MIN_GAIN", "0.2")
    monkeypatch.setenv("TRAINER_NOTIFICATIONS__CHAT__URL", "http://127.0.0.1:9")
    assert not any(each["differs"] for each in decisions(call, "--policy", rules(folder, AS_IT_WAS)))


@pytest.mark.usefixtures("past")
def test_only_periods_since_a_month_are_judged_again(call: Call, folder: Path) -> None:
    """That month included."""
    found = decisions(call, "--policy", rules(folder, AS_IT_WAS), "--since", "2025-03")
    assert [each["period"] for each in found] == ["2025-03", "2025-04"]
    assert call("replay", "--policy", "other.toml", "--since", "2025-13").code == 2


def test_candidate_older_than_the_champion_of_then_is_still_older(call: Call, folder: Path) -> None:
    """The champion's period is no part of the decision; the ledger knows it from its reigns."""
    story = Storyteller(folder / "ledger.db")
    story.judged(a_drop("2025-03"), "1", log_loss=0.55)
    story.judged(a_drop("2025-01"), "2", log_loss=0.3)
    (_, older) = decisions(call, "--policy", rules(folder, AS_IT_WAS))
    assert older["now"] == older["then"]
    assert older["now"]["reasons"] == ["the candidate's period 2025-01 is older than the champion's 2025-03"]


def test_decision_while_the_champion_was_lost_stays_a_rejection(call: Call, folder: Path) -> None:
    """Nobody being champion is not the same as a first model."""
    story = Storyteller(folder / "ledger.db")
    story.judged(a_drop("2025-01"), "1", log_loss=0.55)
    story.ledger.note_champion(MODEL, None, cause="external", now=story.tick())
    story.judged(a_drop("2025-03"), "2", log_loss=0.3)
    (_, second) = decisions(call, "--policy", rules(folder, AS_IT_WAS))
    assert second["now"]["verdict"] == "reject"
    assert second["now"]["reasons"][0].startswith("version 1 was champion and now nobody is")


@pytest.mark.usefixtures("past")
def test_evidence_that_was_not_kept_fails_the_rule_that_needs_it(call: Call, folder: Path) -> None:
    """Closed, as it would for the daemon."""
    found = decisions(call, "--policy", rules(folder, AS_IT_WAS + "confidence = 0.9\n"))
    assert [each["now"]["verdict"] for each in found] == ["promote", "reject", "reject"]


@pytest.mark.usefixtures("past")
def test_replay_changes_nothing(call: Call, folder: Path) -> None:
    """Not a byte of the ledger, and no other file is made."""
    file = rules(folder, AS_IT_WAS + "min_gain = 0.2\n")
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in {".db", ".toml"}}
    assert call("replay", "--policy", file).code == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in {".db", ".toml"}} == before


@pytest.mark.usefixtures("past")
def test_rules_for_another_model_are_refused(call: Call, folder: Path) -> None:
    """With what there is; a file that is wrong is told like any other configuration."""
    answer = call("replay", "--policy", rules(folder, AS_IT_WAS, name="fraud"))
    assert (answer.code, "other.toml has no model churn" in answer.err) == (1, True)
    answer = call("replay", "--policy", rules(folder, "min_gian = 1\n"))
    assert (answer.code, "min_gian" in answer.err) == (2, True)


def test_replay_and_history_before_anything_happened_create_nothing(call: Call, folder: Path) -> None:
    """Every configured model is there, empty."""
    assert decisions(call, "--policy", rules(folder, AS_IT_WAS)) == []
    assert call("history").out == "churn: nobody has been champion yet\n"
    assert json.loads(call("history", "--json").out) == {"models": [{"name": "churn", "champions": []}]}
    assert {path.name for path in folder.iterdir()} == {"trainer.toml", "other.toml"}


def test_history_tells_who_was_champion_until_when_and_why(call: Call, past: Storyteller) -> None:
    """One follows the other without a gap."""
    (model,) = json.loads(call("history", "--json").out)["models"]
    first, second = model["champions"]
    assert [(each["version"], each["cause"], each["period"]) for each in (first, second)] == [
        ("1", "promoted", "2025-01"),
        ("2", "promoted", "2025-03"),
    ]
    assert (first["until"], second["until"]) == (second["from"], None)
    assert "log_loss 0.5000 against the champion's 0.6000" in second["why"]
    history = open_history(past.url)
    assert history
    with history:
        assert second["run"] == history.runs(MODEL)[2].name


@pytest.mark.usefixtures("past")
def test_history_has_the_numbers_of_both(call: Call) -> None:
    """On the same held-out rows; a first champion was compared with nobody."""
    (model,) = json.loads(call("history", "--json").out)["models"]
    first, second = (each["metrics"] for each in model["champions"])
    assert (first["champion"], first["champion_version"], first["candidate"]["log_loss"]) == (None, None, 0.55)
    assert (second["holdout_rows"], second["champion_version"]) == (204, "1")
    assert (second["candidate"]["log_loss"], second["champion"]["log_loss"]) == (0.5, 0.6)
    told = call("history").out
    assert "churn: 2 changes of champion" in told
    assert "log_loss: the candidate 0.5000, the champion 0.6000" in told


def test_history_has_the_numbers_that_a_champion_was_promoted_by(call: Call, folder: Path) -> None:
    """Not those of an earlier evaluation against somebody else; both decisions can be replayed."""
    story = Storyteller(folder / "ledger.db")
    story.judged(a_drop("2025-01"), "1", log_loss=0.55)
    story.evaluated_again(story.waits(a_drop("2025-03"), "2"), log_loss=0.41)
    told = call("history").out
    assert "log_loss: the candidate 0.4100, the champion 0.6000" in told
    assert told.splitlines()[-5].strip().startswith("log_loss 0.4100 against the champion's 0.6000")
    assert "at least 30 are needed" not in told, "what had to be so anyway"
    found = [each for each in decisions(call, "--policy", rules(folder, AS_IT_WAS)) if each["version"] == "2"]
    assert [each["attempt"] for each in found] == [1, 2]


def test_history_has_the_numbers_of_then_although_the_version_was_judged_again_later(call: Call, folder: Path) -> None:
    """A person makes a version champion whose run was cancelled; somebody asks for that run once more afterwards."""
    story = Storyteller(folder / "ledger.db")
    story.judged(a_drop("2025-01"), "1", log_loss=0.55)
    run = advanced(story.ledger, story.waits(a_drop("2025-03"), "2"), RunState.CANCELED, why="ann: not now", now=story.tick())
    story.ledger.ask(an_intervention("promote", version="2", replaces="1", at=story.tick()))
    wish = story.ledger.next_intervention(MODEL)
    assert wish
    champion = Champion(version="2", run_key=run.key, period=run.period)
    story.ledger.intervened(wish, champion, replaced="1", now=story.tick())
    story.evaluated_again(run, log_loss=0.41)
    (model,) = json.loads(call("history", "--json").out)["models"]
    forced = next(each for each in model["champions"] if each["cause"] == "forced")
    assert (forced["why"], forced["by"]) == ("promoted by ann: scores are off", "ann")
    assert forced["metrics"]["candidate"]["log_loss"] == 0.45


def test_history_tells_what_others_did(call: Call, folder: Path) -> None:
    """Found, moved by hand, taken away, and that is all that is known of it."""
    story = Storyteller(folder / "ledger.db")
    story.ledger.note_champion(MODEL, None, cause="found", now=NOW)
    story.ledger.note_champion(MODEL, a_champion("7"), cause="found", now=NOW)
    story.ledger.note_champion(MODEL, Champion(version="9"), cause="external", now=story.tick())
    story.ledger.note_champion(MODEL, None, cause="external", now=story.tick())
    (model,) = json.loads(call("history", "--json").out)["models"]
    assert [(each["version"], each["why"], each["metrics"]) for each in model["champions"]] == [
        ("7", "it was champion when this ledger was begun", None),
        ("9", "the alias was moved outside the daemon", None),
        (None, "the alias was removed outside the daemon", None),
    ]
    assert "nobody, external" in call("history").out
