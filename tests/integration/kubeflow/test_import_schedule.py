"""`trainer-daemon import-schedule` as it is called, with a server on the other side."""

import io
import json
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.emulators.kfp_server import KfpServer
from tests.integration.cli.conftest import Call, call
from tests.integration.kubeflow.recurring import Stranger

__all__ = ["call"]

SINCE = datetime(2026, 1, 1, 8, 17, 5, tzinfo=UTC)


@pytest.fixture
def folder(kfp_server: KfpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a configuration of the server."""
    monkeypatch.chdir(tmp_path)
    for name in ("TRAINER_CONFIG", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "trainer.toml").write_text(
        f'[orchestrator]\nkind = "kubeflow"\nimage = "trainer:1"\nhost = "{kfp_server.host}"\nui_url = "https://kf.example"\n'
        '[[models]]\nname = "churn"\nbucket = "drops"\n'
    )
    return tmp_path


@pytest.fixture
def monthly(folder: Path, stranger: Stranger) -> str:
    """The id of a recurring run of the training pipeline, as the user interface makes it."""
    assert folder.is_dir()
    return stranger.schedule("monthly", pipeline_id=stranger.upload("trainer-training"))


def answering(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """What a person types."""
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_recurring_runs_are_listed(call: Call, monthly: str, stranger: Stranger) -> None:
    """With the schedule that each would become."""
    stranger.schedule_spec("inline", pipeline="training", interval_s=172800, enabled=False)
    table, answer = call("import-schedule"), call("import-schedule", "--json")
    assert (table.code, answer.code, table.err) == (0, 0, "")
    assert all(word in table.out for word in ("monthly", monthly, "every 2 days", "0 3 1 * *", "none does that"))
    listed = {item["name"]: item for item in json.loads(answer.out)["recurring_runs"]}
    assert listed["monthly"] == {
        "id": monthly,
        "name": "monthly",
        "enabled": True,
        "trigger": "0 0 3 1 * ?",
        "pipeline": "trainer-training",
        "schedule": "0 3 1 * *",
        "obstacle": None,
        "link": f"https://kf.example/#/recurringrun/details/{monthly}",
    }
    assert (listed["inline"]["enabled"], listed["inline"]["pipeline"], listed["inline"]["schedule"]) == (False, "training", None)
    assert listed["inline"]["obstacle"].startswith("no crontab says every 2 days")


def test_narrow_terminal_gets_lines(call: Call, monthly: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An id can be copied in one piece."""
    monkeypatch.setenv("COLUMNS", "60")
    assert f"monthly  {monthly}\n" in call("import-schedule").out


@pytest.mark.usefixtures("folder")
def test_server_without_recurring_runs_says_so(call: Call) -> None:
    """That is no failure."""
    assert call("import-schedule").out == "There are no recurring runs.\n"
    answer = call("import-schedule", "monthly")
    assert (answer.code, answer.err) == (1, "error: there is no recurring run monthly; the server has none at all\n")


@pytest.mark.parametrize("way", ["id", "name", "beginning"])
def test_what_is_printed_is_valid_configuration(call: Call, monthly: str, stranger: Stranger, way: str) -> None:
    """Two keys, the rest are comments; nothing is changed on the server or in the file."""
    before = Path("trainer.toml").read_text()
    word = {"id": monthly, "name": "monthly", "beginning": monthly[:8]}[way]
    answer = call("import-schedule", word)
    assert (answer.code, answer.err) == (0, "")
    assert tomllib.loads(answer.out) == {"schedule": "0 3 1 * *", "timezone": "UTC"}
    assert 'add on_schedule = "always"' in answer.out
    assert f"monthly is still enabled: `trainer-daemon import-schedule {monthly} --disable`" in answer.out
    assert (stranger.status(monthly), Path("trainer.toml").read_text()) == ("ENABLED", before)
    Path("trainer.toml").write_text(before + answer.out)
    assert call("status").code == 0


def test_interval_keeps_its_time_of_day(call: Call, folder: Path, stranger: Stranger) -> None:
    """And what is rounded is said."""
    assert folder.is_dir()
    stranger.schedule("weekly", pipeline_id=stranger.upload("trainer-training"), interval_s=604800, since=SINCE)
    answer = call("import-schedule", "weekly", "--json")
    imported = json.loads(answer.out)
    assert (imported["schedule"], imported["timezone"], imported["model"]) == ("17 8 * * 4", "UTC", "churn")
    assert imported["notes"][0] == "it fires at second 5 of a minute, the schedule at second 0"


@pytest.mark.parametrize(("reply", "code", "status"), [("y\n", 0, "DISABLED"), ("n\n", 1, "ENABLED"), ("", 1, "ENABLED")])
def test_recurring_run_is_disabled_after_asking(
    call: Call, monthly: str, stranger: Stranger, monkeypatch: pytest.MonkeyPatch, reply: str, code: int, status: str
) -> None:
    """Nobody at the terminal is no consent; the question stays out of what is printed."""
    answering(monkeypatch, reply)
    answer = call("import-schedule", monthly, "--disable")
    assert (answer.code, stranger.status(monthly)) == (code, status)
    assert tomllib.loads(answer.out) == {"schedule": "0 3 1 * *", "timezone": "UTC"}
    assert f"Disable recurring run monthly ({monthly})" in answer.err


def test_program_disables_with_yes(call: Call, monthly: str, stranger: Stranger) -> None:
    """A second time changes nothing, and is none of the server's business."""
    for _ in range(2):
        answer = call("import-schedule", monthly, "--disable", "--yes", "--json")
        assert (answer.code, json.loads(answer.out)["enabled"]) == (0, False)
    assert stranger.status(monthly) == "DISABLED"


def test_server_that_refuses_to_disable_is_told(call: Call, kfp_server: KfpServer, monthly: str, stranger: Stranger) -> None:
    """So that nobody believes it is done."""
    kfp_server.refuse("POST /recurringruns/*:disable", 400)
    answer = call("import-schedule", monthly, "--disable", "--yes")
    assert (answer.code, answer.err.startswith("error: recurring run monthly is still enabled: ")) == (1, True)
    assert stranger.status(monthly) == "ENABLED"


def test_recurring_run_without_a_schedule_is_refused_and_stays(call: Call, folder: Path, stranger: Stranger) -> None:
    """Disabling it would end the training."""
    assert folder.is_dir()
    id_ = stranger.schedule("odd", pipeline_id=stranger.upload("trainer-training"), cron="@every 90m")
    answer = call("import-schedule", "odd", "--disable", "--yes")
    assert (answer.code, answer.out, stranger.status(id_)) == (1, "", "ENABLED")
    assert answer.err.startswith("error: recurring run odd cannot become a schedule, no crontab says @every 90m")
    assert f"it is at https://kf.example/#/recurringrun/details/{id_}" in answer.err


def test_name_of_several_is_refused_with_their_ids(call: Call, monthly: str, stranger: Stranger) -> None:
    """Names need not be unique."""
    second = stranger.schedule_spec("monthly", pipeline="training")
    answer = call("import-schedule", "monthly")
    assert answer.code == 1
    assert all(id_ in answer.err for id_ in (monthly, second))


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("arguments", [("--disable",), ("monthly", "--disable", "--json"), ("monthly", "-m", "other")])
def test_wrong_usage_exits_with_2(call: Call, monthly: str, arguments: tuple[str, ...]) -> None:
    """Nothing is disabled."""
    assert monthly
    answer = call("import-schedule", *arguments)
    assert (answer.code, answer.out, "Error: " in answer.err) == (2, "", True)


def test_credential_that_is_not_taken_is_one_sentence(call: Call, kfp_server: KfpServer, monthly: str) -> None:
    """On standard error, without a line of a log."""
    kfp_server.require_tokens("secret")
    answer = call("import-schedule", monthly)
    assert (answer.code, answer.out, answer.err.count("\n")) == (1, "", 1)
    assert answer.err.startswith("error: Kubeflow Pipelines does not take the daemon's credential")


def test_other_orchestrators_have_none(call: Call, folder: Path) -> None:
    """The sentence says which one has."""
    (folder / "trainer.toml").write_text('[[models]]\nname = "churn"\nbucket = "drops"\n')
    answer = call("import-schedule")
    assert (answer.code, answer.err) == (
        1,
        'error: orchestrator.kind is "local", which has no recurring runs; it has to be "kubeflow"\n',
    )
