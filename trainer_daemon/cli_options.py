"""What the options of several commands have in common."""

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[Path, typer.Option("--config", "-c", envvar="TRAINER_CONFIG", help="The configuration file.")]
Model = Annotated[str | None, typer.Option("--model", "-m", metavar="NAME", help="Only this model.", show_default=False)]
OneModel = Annotated[str | None, typer.Option("--model", "-m", metavar="NAME", help="Which of several.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output, for programs.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the ledger.", show_default=False)]
NeededReason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the ledger and on the version.")]
By = Annotated[
    str, typer.Option("--by", metavar="NAME", help="Who says so. [default: the user of the system]", show_default=False)
]
CONFIG = Path("trainer.toml")


def examples(*lines: str) -> str:
    """Calls as help shows them."""
    return "\b\nExamples:\n" + "\n".join(f"  trainer-daemon {line}" for line in lines)
