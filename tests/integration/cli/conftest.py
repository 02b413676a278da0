"""A working directory with a configuration, ledgers with a past, and the command line called in this process."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.ledger_story import Storyteller, a_whole_past
from trainer_daemon.cli import main


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
