"""The command line against real ledgers."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.builders import MODEL, a_drop
from tests.integration.ledger_story import Storyteller, a_whole_past
from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.adapters.ledger.history import open_history
from trainer_daemon.cli import main
from trainer_daemon.commands.opening import open_session
from trainer_daemon.commands.trigger import Wish, record
from trainer_daemon.config import load_settings
from trainer_daemon.policy.events import EventKind, Source
from trainer_daemon.singleton import hold

HEAVY = ("pandas", "numpy", "sklearn", "mlflow", "kfp", "alembic", "structlog", "pyarrow")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str


Call = Callable[..., Answer]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a configuration; nothing has happened in it."""
    monkeypatch.chdir(tmp_path)
    for name in ("TRAINER_CONFIG", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "trainer.toml").write_text(
        'ledger = "sqlite:///ledger.db"\n[[models]]\nname = "churn"\nbucket = "file:///drops"\n'
    )
    return tmp_path


@pytest.fixture
def past(folder: Path) -> Storyteller:
    """A ledger in which everything has happened once."""
    story = a_whole_past(folder / "ledger.db")
    story.ledger.close()
    return story


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls the command line in this process."""

    def run(*arguments: str) -> Answer:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        said = capsys.readouterr()
        return Answer(code=int(ended.value.code or 0), out=said.out, err=said.err)

    return run


def run_name(state: str) -> str:
    """The name of the one run in a state."""
    history = open_history("sqlite:///ledger.db")
    assert history
    with history:
        return next(run.name for run in history.runs(MODEL) if run.state == state)


# usage and configuration


@pytest.mark.parametrize("command", ["", "run", "trigger", "status", "explain", "cancel", "init", "demo"])
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


# status


def test_status_before_anything_happened_creates_nothing(call: Call, folder: Path) -> None:
    """Every configured model is there, empty."""
    answer = call("status", "--json")
    assert answer.code == 0
    empty: dict[str, object] = {"name": "churn", "champion": None, "runs": [], "quarantined": [], "superseded": []}
    assert json.loads(answer.out) == {"models": [empty]}
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
    assert "…" not in answer.out


@pytest.mark.usefixtures("past")
def test_status_says_whether_a_daemon_is_running(call: Call) -> None:
    """With its process id."""
    assert "No daemon is running; start one with `trainer-daemon run`." in call("status").out
    with hold("sqlite:///ledger.db"):
        assert re.search(r"The daemon is running \(pid \d+\)", call("status").out)


# explain


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


# trigger, cancel


@pytest.fixture
def known(folder: Path) -> Storyteller:
    """Two drops that the daemon has seen; the run of the first one was promoted, that of the second one is queued."""
    story = Storyteller(folder / "ledger.db")
    story.judged(a_drop("2025-03"), "1", log_loss=0.5)
    story.queued(a_drop("2025-05"))
    return story


def test_trigger_records_the_event_of_an_operator(call: Call, known: Storyteller) -> None:
    """With who, why and what; the daemon acts on it."""
    answer = call("trigger", "--period", "2025-03", "--force", "--reason", "new seed")
    assert answer.code == 0
    assert "Asked for a run of churn_data_2025_03.csv (2025-03) of model churn." in answer.out
    assert "A new run will be queued" in answer.out
    event = known.ledger.next_pending(MODEL)
    assert event
    assert (event.kind, event.source, event.drop, event.force) == (EventKind.OPERATOR, Source.CLI, a_drop("2025-03"), True)
    assert event.id.startswith("cli:churn:")
    assert event.by.endswith(" (new seed)")


def test_trigger_without_a_name_asks_for_the_newest_drop(call: Call, known: Storyteller) -> None:
    """Twice are two requests."""
    assert call("trigger").code == 0
    assert call("trigger").code == 0
    history = open_history(known.url)
    assert history
    with history:
        asked = [item.event for item in history.happenings(MODEL) if item.event.kind is EventKind.OPERATOR]
    assert [event.drop for event in asked] == [a_drop("2025-05")] * 2
    assert len({event.id for event in asked}) == 2


def test_trigger_never_changes_what_is_current(call: Call, known: Storyteller) -> None:
    """Although it names a drop: the bucket alone says which version is there, and that it was looked at."""
    before = known.ledger.known_drops(MODEL)
    assert call("trigger", "--period", "2025-03").code == 0
    newer = a_drop("2025-03", content="b", generation="2")
    known.arrives(newer)
    assert known.ledger.known_drops(MODEL) == {**before, newer.uri: ("s", newer)}


def test_trigger_that_was_overtaken_leaves_the_newer_version_current(known: Storyteller) -> None:
    """The bucket may report newer bytes between the command's look and its write."""
    chosen, newer = a_drop("2025-03"), a_drop("2025-03", content="b", generation="2")
    known.arrives(newer)
    record(Wish(), MODEL, chosen, session=open_session(Path("trainer.toml")), signature="s")
    assert known.ledger.known_drops(MODEL)[newer.uri] == ("s", newer)


def test_trigger_of_the_unknown_lists_what_is_known(call: Call, known: Storyteller) -> None:
    """And records nothing."""
    answer = call("trigger", "--period", "2024-01")
    assert (answer.code, answer.out) == (1, "")
    assert "known are: churn_data_2025_05.csv (2025-05), churn_data_2025_03.csv (2025-03)" in answer.err
    assert known.ledger.next_pending(MODEL) is None


def test_trigger_before_the_daemon_ever_ran_creates_nothing(call: Call, folder: Path) -> None:
    """Nothing is known to ask for."""
    answer = call("trigger")
    assert (answer.code, "no drop is known yet" in answer.err) == (1, True)
    assert [path.name for path in folder.iterdir()] == ["trainer.toml"]


@pytest.mark.usefixtures("past")
def test_cancel_asks_the_daemon(call: Call) -> None:
    """With the reason and who gave it; by the beginning of the key as well."""
    name = run_name("QUEUED")
    answer = call("cancel", name.rsplit("-", 2)[1], "--reason", "wrong file")
    assert answer.code == 0
    assert f"Asked to cancel run {name} (QUEUED). No daemon is running" in answer.out
    with Ledger("sqlite:///ledger.db") as ledger:
        run = next(run for run in ledger.live_runs(MODEL) if run.name == name)
    assert run.cancel_reason.endswith(": wrong file")


@pytest.mark.usefixtures("past")
def test_cancel_of_what_has_ended_is_refused_with_its_state(call: Call) -> None:
    """Nothing is left to cancel."""
    answer = call("cancel", run_name("REJECTED"))
    assert (answer.code, answer.out) == (1, "")
    assert "has ended already, it is REJECTED" in answer.err


@pytest.mark.usefixtures("past")
@pytest.mark.parametrize("command", [["status"], ["status", "--json"], ["explain", "2025-03"], ["trigger"]])
def test_short_commands_import_nothing_heavy(command: list[str]) -> None:
    """They answer at once, also on a small machine."""
    code = "import sys, atexit\natexit.register(lambda: print(sorted(sys.modules), file=sys.stderr))\n"
    code += f"from trainer_daemon.cli import main\nmain({command!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    imported = set(re.findall(r"'(\w+)", done.stderr))
    assert imported & {"sqlalchemy"}
    assert imported.isdisjoint(HEAVY)
