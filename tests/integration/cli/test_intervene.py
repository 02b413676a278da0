"""`promote` and `rollback` from the command line to MLflow's alias and back to what people read."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.builders import MODEL, a_drop
from tests.integration.cli.conftest import Call
from tests.integration.ledger_story import Storyteller

Write = Callable[..., list[Any]]
"""Takes pairs of an action's name and its arguments."""


@pytest.fixture
def mlflow(folder: Path, furniture: Path, author_process: "subprocess.Popen[str]") -> Write:
    """Writes into the MLflow of the working directory, in another process; returns the results."""
    uri = f"sqlite:///{folder}/var/mlflow.db"
    (folder / "drops").mkdir()
    shutil.copytree(furniture, folder / "var")
    (folder / "trainer.toml").write_text(
        f'ledger = "sqlite:///ledger.db"\n[mlflow]\ntracking_uri = "{uri}"\n[[models]]\nname = "{MODEL}"\nbucket = "drops"\n'
    )

    def act(name: str, arguments: dict[str, Any]) -> Any:  # noqa: ANN401 - as the action says
        assert author_process.stdin
        assert author_process.stdout
        author_process.stdin.write(json.dumps([uri, name, {"model": MODEL, **arguments}]) + "\n")
        author_process.stdin.flush()
        return json.loads(author_process.stdout.readline())["result"]

    return lambda *actions: [act(*action) for action in actions]


@pytest.fixture
def champions(folder: Path, mlflow: Write) -> None:
    """Version 2 has replaced version 1; version 3 was rejected."""
    story = Storyteller(folder / "ledger.db")
    for month, version, log_loss in (("2025-01", "1", 0.55), ("2025-03", "2", 0.5), ("2025-04", "3", 0.7)):
        story.judged(a_drop(month), version, log_loss=log_loss)
    story.ledger.close()
    registering = [("register", {"run_id": "", "tags": {}})] * 3
    mlflow(
        *registering,
        ("set_alias", {"alias": "champion", "version": "2"}),
        ("set_alias", {"alias": "previous-champion", "version": "1"}),
    )


@pytest.mark.usefixtures("champions")
def test_rollback_from_the_command_line_to_the_alias_and_back(call: Call, mlflow: Write) -> None:
    """Recorded by one process, carried out by the next daemon, told by everything that is asked afterwards."""
    answer = call("rollback", "--by", "ann", "--reason", " scores are off ", "--json")
    assert (answer.code, answer.err) == (0, "")
    document = json.loads(answer.out)
    assert document.pop("at")
    assert document == {
        "model": "churn",
        "action": "rollback",
        "version": "1",
        "replaces": "2",
        "by": "ann",
        "reason": "scores are off",
        "warnings": [],
        "daemon_running": False,
    }
    assert "waiting: ann asked to roll back from version 2 to version 1: scores are off" in call("status").out
    assert "ann has asked to roll back from version 2 to version 1; the daemon acts on it." in call("explain", "2").out

    done = subprocess.run(
        [sys.executable, "-m", "trainer_daemon", "run", "--until-idle"], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines() if "champion_rolled_back" in line]
    assert [(line["model_version"], line["previous_version"], line["by"]) for line in lines] == [("1", "2", "ann")]
    champion, previous, tags = mlflow(
        ("alias", {"alias": "champion"}), ("alias", {"alias": "previous-champion"}), ("tags", {"version": "2"})
    )
    assert (champion, previous) == ("1", "2")
    assert tags["trainer.rolled_back"].startswith("rolled back by ann: scores are off (")

    (model,) = json.loads(call("status", "--json").out)["models"]
    assert (model["champion"]["version"], model["interventions"][0]["outcome"]) == ("1", "done")
    assert "(version 2 was rolled back by ann: scores are off)" in call("status").out
    (told,) = json.loads(call("history", "--json").out)["models"]
    last = told["champions"][-1]
    assert (last["version"], last["cause"], last["by"]) == ("1", "rollback", "ann")
    story = call("explain", "2").out
    for words in (
        "version 1 became champion again: version 2 was rolled back by ann",
        "version 2 cannot become champion again by itself",
        "a person took it back, and only a person brings it back: `trainer-daemon promote 2 --force --reason WHY`",
    ):
        assert words in story

    again = call("rollback", "--reason", "still off")
    assert (again.code, again.out) == (1, "")
    assert "has no earlier champion that nobody took back (version 2 was rolled back by ann: scores are off)" in again.err


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "arguments",
    [
        ("rollback",),
        ("rollback", "--reason", " "),
        ("promote", "3"),
        ("promote", "--reason", "x"),
        ("promote", "three", "--reason", "x"),
        ("rollback", "--to", "0", "--reason", "x"),
    ],
)
def test_version_and_reason_are_needed(call: Call, arguments: tuple[str, ...]) -> None:
    """Nothing is looked at before they are there."""
    answer = call(*arguments)
    assert (answer.code, answer.out, "Error: " in answer.err) == (2, "", True)
