"""`status` and `explain` against a ledger in which everything has happened once."""

import json
import re
from pathlib import Path

import pytest

from tests.builders import a_drop
from tests.integration.cli.conftest import Call
from trainer_daemon.singleton import hold


def test_status_before_anything_happened_creates_nothing(call: Call, folder: Path) -> None:
    """Every configured model is there, empty."""
    answer = call("status", "--json")
    assert answer.code == 0
    nothing: dict[str, object] = {key: [] for key in ("runs", "quarantined", "superseded", "interventions")}
    assert json.loads(answer.out) == {
        "models": [{"name": "churn", "champion": None, "lease": None, **nothing}],
        "notifications": [],
    }
    assert "Nothing has happened yet" in call("status").out
    assert [path.name for path in folder.iterdir()] == ["trainer.toml"]


@pytest.mark.usefixtures("past")
def test_status_json_tells_everything(call: Call) -> None:
    """And nothing else is on standard output."""
    (model,) = json.loads(call("status", "--json").out)["models"]
    states = [run["state"] for run in model["runs"]]
    assert states == ["PROMOTED", "QUARANTINED", "PROMOTED", "REJECTED", "SUPERSEDED", "CANCELED", "FAILED", "RUNNING", "QUEUED"]
    assert model["champion"] == {"version": "2", "run": model["runs"][2]["name"]}
    assert model["runs"][3]["decision"]["verdict"] == "reject"
    assert [item["drop"] for item in model["quarantined"]] == [a_drop("2025-02").ref]
    assert model["superseded"] == [a_drop("2025-05").ref]


@pytest.mark.usefixtures("past")
@pytest.mark.parametrize("columns", [40, 80, 100, 200])
def test_status_stays_readable_on_every_terminal(call: Call, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """Nothing is cut off, and only hints that are to be copied are longer than the terminal is wide."""
    monkeypatch.setenv("COLUMNS", str(columns))
    answer = call("status")
    table = answer.out.split("No daemon is running")[0]
    assert all(len(line) <= columns for line in table.splitlines()[1:])
    words = re.sub(r"\s+", "", answer.out)
    for expected in ("champion:version2", "QUARANTINED", "churn_data_2025_02.csv", "waiting:churn_data_2025_10.csv", "explain"):
        assert expected in words
    assert "churn_data_2025_02.csv" in answer.out
    assert ("Attempt" in answer.out) == (columns >= 100)
    assert "…" not in answer.out


@pytest.mark.usefixtures("past")
def test_status_says_whether_a_daemon_is_running(call: Call) -> None:
    """With its process id."""
    assert "No daemon is running; start one with `trainer-daemon run`." in call("status").out
    with hold("sqlite:///ledger.db"):
        assert re.search(r"The daemon is running \(pid \d+\)", call("status").out)


@pytest.mark.usefixtures("past")
def test_explain_tells_the_story_from_event_to_alias(call: Call) -> None:
    """And what to do next."""
    answer = call("explain", "churn_data_2025_03.csv")
    assert answer.code == 0
    told = [
        "arrived",
        "was queued",
        "attempt 1 started",
        "the candidate is version 2",
        "evaluated on 204 held-out rows against champion version 1",
        "log_loss: the candidate 0.5000, the champion 0.6000",
        "passed: roc_auc 0.8000, at least 0.6 is needed",
        "version 2 became champion",
        "moved from version 1 to 2",
        "What to do next",
    ]
    positions = [answer.out.find(words) for words in told]
    assert -1 not in positions
    assert positions == sorted(positions)


@pytest.mark.usefixtures("past")
@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("2025-02", "line 501 has 3 fields"),
        ("3", "FAILED: log_loss 0.7000"),
        ("churn_data_2025_13.csv", "month 13 does not exist"),
        ("2025-10", "the daemon has not acted on it yet"),
        ("churn_data_2025_01.csv", "version 1 stopped being champion: version 2 was promoted"),
    ],
)
def test_explain_finds_the_story_of_every_end(call: Call, word: str, expected: str) -> None:
    """Whatever it is called by."""
    assert expected in call("explain", word).out


@pytest.mark.usefixtures("past")
def test_explain_json_is_the_same_story(call: Call) -> None:
    """For programs."""
    (story,) = json.loads(call("explain", "2", "--json").out)["stories"]
    assert (story["model"], story["kind"]) == ("churn", "version")
    assert [entry["what"] for entry in story["timeline"]][-1] == "version 2 became champion"
    assert story["next"]


@pytest.mark.usefixtures("past")
def test_explain_of_the_unknown_offers_what_is_near(call: Call) -> None:
    """Or anything at all."""
    answer = call("explain", "churn_data_2025_99.csv")
    assert (answer.code, answer.out) == (1, "")
    assert "churn_data_2025_" in answer.err.split("for example")[1]
    assert "for example" in call("explain", "zzzz").err


@pytest.mark.usefixtures("folder")
def test_explain_before_anything_happened_says_so(call: Call) -> None:
    """With the next step."""
    answer = call("explain", "2025-03")
    assert (answer.code, "does not exist yet" in answer.err) == (1, True)
