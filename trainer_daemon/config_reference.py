"""Writes docs/configuration.md from the settings themselves: `python -m trainer_daemon.config_reference`."""

from collections.abc import Iterator
from pathlib import Path

from trainer_daemon.config import Settings
from trainer_daemon.config_keys import Header, Key, allowed, headers, toml_value

PAGE = Path(__file__).resolve().parents[1] / "docs" / "configuration.md"
_INTRODUCTION = """\
# Configuration

<!-- Written by `python -m trainer_daemon.config_reference`; change the descriptions in trainer_daemon/config.py. -->

One TOML file, `trainer.toml`; `trainer-daemon init` writes one with every key in it. Relative paths start at the folder of the
file. The file is checked at start: every wrong or unknown key is named, all of them at once, and nothing runs.

Every key can be overridden by the environment variable beside it. Lists and tables are written as in TOML or JSON. `<NAME>` is
the name of the model, or of the endpoint, in capitals, with everything but letters and digits as `_`:
`TRAINER_MODELS__CHURN__TARGET`. A variable that begins with `TRAINER_` and overrides nothing is an error, too. Passwords in URLs
never appear in logs or messages.
"""


def reference() -> str:
    """The whole page."""
    return _INTRODUCTION + "".join(f"{line}\n" for header in headers(Settings) for line in _section(header))


def _section(header: Header) -> Iterator[str]:
    yield from ("", f"## {header.title or 'Top of the file'}", "", str(header.section.__doc__), "")
    yield from ("| key | allowed | default | meaning | environment variable |", "|---|---|---|---|---|")
    yield from (_row(key, header.prefix) for key in header.keys)


def _row(key: Key, prefix: str) -> str:
    field = key.field
    default = "**required**" if field.is_required() else f"`{toml_value(field.get_default())}`"
    cells = (f"`{key.path[-1]}`", allowed(field), default, str(field.description), f"`{key.variable(prefix)}`")
    return "| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") if cell[0] != "`" else cell for cell in cells) + " |"


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(reference(), encoding="utf-8")
