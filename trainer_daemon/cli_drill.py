"""The command that puts a user's own configuration through faults; see `cli`."""

from pathlib import Path
from typing import Annotated

import typer

from trainer_daemon.cli_options import CONFIG, AsJson, Config, OneModel, examples

FAILED = 1


def add_commands(app: typer.Typer) -> None:
    """Add it to the command line."""
    lines = ("drill", "drill --fault kill-daemon --fault correction", "drill --json | jq '.promises[]'")
    app.command(epilog=examples(*lines))(drill)


def drill(
    config: Config = CONFIG,
    *,
    model: OneModel = None,
    fault: Annotated[
        list[str] | None, typer.Option("--fault", metavar="NAME", help="Only this one; may be repeated.", show_default=False)
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder", help="Where the workspace is made anew, and left. [default: a temporary folder]", show_default=False
        ),
    ] = None,
    timeout: Annotated[float, typer.Option("--timeout", metavar="SECONDS", min=1, help="How long nothing may happen.")] = 600,
    json: AsJson = False,
) -> None:
    """Put your configuration through kills and faults.

    A daemon with your model's settings runs on a throw-away workspace, with a ledger, an MLflow, a folder of drops and the
    local orchestrator of its own: your ledger, bucket, MLflow and orchestrator are not touched. Drops are copies of your
    newest one when the bucket is a folder, invented otherwise. The exit code is 1 when something did not hold.
    """
    from trainer_daemon.commands.drill import DrillWish, run_drill
    from trainer_daemon.drill.faults import Fault

    names = [known.value for known in Fault]
    if unknown := [name for name in fault or () if name not in names]:
        message = f"there is no fault {unknown[0]}; there are {', '.join(names)}"
        raise typer.BadParameter(message, param_hint="--fault")
    wish = DrillWish(faults=[Fault(name) for name in fault or names], folder=folder, timeout_s=timeout)
    if not run_drill(wish, config=config, model=model, as_json=json):
        raise typer.Exit(FAILED)
