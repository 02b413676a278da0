"""How commands are called: help, exit codes, configuration, and what they cost to start."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Call
from trainer_daemon.config import load_settings
from trainer_daemon.singleton import hold

COMMANDS = (
    "",
    "run",
    "trigger",
    "status",
    "explain",
    "cancel",
    "promote",
    "rollback",
    "predict",
    "doctor",
    "import-schedule",
    "setup-gcp",
    "init",
    "demo",
)
SHORT = """
import json, sys
from trainer_daemon.cli import main
codes = []
for command in json.loads(sys.argv[1]):
    try:
        main(command)
    except SystemExit as ended:
        codes.append(ended.code or 0)
print(json.dumps([codes, sorted(sys.modules)]), file=sys.stderr)
"""
HEAVY = ("pandas", "numpy", "sklearn", "mlflow", "kfp", "alembic", "structlog", "pyarrow")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_with_examples(call: Call, command: str) -> None:
    """Every command's, in plain lines that can be copied."""
    answer = call(*command.split(), "--help")
    assert answer.code == 0
    assert re.search(r"(Examples|First steps):\n  +trainer-daemon " + (command or "demo"), answer.out)


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("explain",),
        ("status", "--colour"),
        ("status", "-m", "other"),
        ("trigger", "--period", "2025-03", "--drop", "x"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_wrong_usage_exits_with_2(call: Call, arguments: tuple[str, ...]) -> None:
    """And says on standard error what is wrong."""
    answer = call(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert "Error: " in answer.err


def test_wrong_configuration_exits_with_2_and_one_line_per_key(call: Call, folder: Path) -> None:
    """Whatever the command."""
    (folder / "trainer.toml").write_text('ledger = 3\n[[models]]\nname = "churn"\nbucket = "drops"\ntargt = "x"\n')
    for command in (("status",), ("run",), ("trigger",), ("explain", "x"), ("cancel", "x")):
        answer = call(*command)
        assert (answer.code, answer.out) == (2, "")
        assert [line.split()[:2] for line in answer.err.splitlines()] == [["error:", "ledger"], ["error:", "models[churn].targt"]]


def test_missing_configuration_names_the_command_that_writes_one(
    call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file may be named by option or by environment variable."""
    assert "there is no configuration file other.toml" in call("status", "-c", "other.toml").err
    monkeypatch.setenv("TRAINER_CONFIG", str(folder / "third.toml"))
    answer = call("status")
    assert (answer.code, "third.toml; `trainer-daemon init` writes one" in answer.err) == (2, True)


def test_model_has_to_be_named_when_there_are_several(call: Call, folder: Path) -> None:
    """For a command that is about one."""
    with (folder / "trainer.toml").open("a") as file:
        file.write('[[models]]\nname = "other"\nbucket = "file:///others"\n')
    answer = call("trigger")
    assert (answer.code, "name one of churn, other" in answer.err) == (2, True)


def test_init_writes_a_valid_configuration_once(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And never over an existing one."""
    monkeypatch.chdir(tmp_path)
    answer = call("init")
    assert (answer.code, "`trainer-daemon run`" in answer.out) == (0, True)
    assert load_settings(tmp_path / "trainer.toml", {}).models[0].name == "churn"
    (tmp_path / "trainer.toml").write_text("mine")
    answer = call("init")
    assert (answer.code, answer.out) == (1, "")
    assert (tmp_path / "trainer.toml").read_text() == "mine"
    assert "cannot write nowhere/t.toml" in call("init", "--path", "nowhere/t.toml").err


@pytest.mark.usefixtures("folder")
def test_daemon_that_cannot_start_exits_with_1(call: Call) -> None:
    """With a sentence, not with a traceback."""
    with hold("sqlite:///ledger.db"):
        answer = call("run", "--until-idle")
    assert answer.code == 1
    assert re.fullmatch(r"error: another daemon \(pid \d+\) uses the ledger .*ledger.db; stop it first.*\n", answer.err)


@pytest.mark.usefixtures("past")
def test_short_commands_import_nothing_heavy() -> None:
    """They answer at once, also on a small machine."""
    commands = [["status"], ["status", "--json"], ["explain", "2025-03"], ["trigger"]]
    done = subprocess.run(
        [sys.executable, "-c", SHORT, json.dumps(commands)], capture_output=True, text=True, check=True, timeout=600
    )
    codes, imported = json.loads(done.stderr)
    assert codes == [0] * len(commands)
    assert "sqlalchemy" in imported
    assert {name.partition(".")[0] for name in imported}.isdisjoint(HEAVY)
