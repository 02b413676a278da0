"""The commands by which a person decides who is champion; see `cli`."""

from typing import Annotated

import typer

from trainer_daemon.cli_options import CONFIG, By, Config, Model, NeededReason, examples

RunName = Annotated[str, typer.Argument(metavar="RUN", help="Its name, the beginning of its key, or its version.")]


def add_commands(app: typer.Typer) -> None:
    """Add them to the command line."""
    name = "churn-2025-03-1f0c9a3be2d4-1"
    app.command(epilog=examples(f'approve {name} --reason "looks right"', 'approve 7 --by ann --reason "checked the slices"'))(
        approve
    )
    app.command(epilog=examples(f'reject {name} --reason "the campaign distorts this month"'))(reject)


def approve(run: RunName, reason: NeededReason, config: Config = CONFIG, *, by: By = "", model: Model = None) -> None:
    """Let a candidate become champion that waits for approval.

    With mode = "approval" in [models.promotion]. The daemon carries it out, unless the champion has changed meanwhile: then
    the candidate is evaluated again and needs another approval.
    """
    from trainer_daemon.commands.answer import Reply, answer

    answer(run, Reply(approved=True, by=by, reason=reason), config=config, model=model)


def reject(run: RunName, reason: NeededReason, config: Config = CONFIG, *, by: By = "", model: Model = None) -> None:
    """Turn down a candidate that waits for approval.

    The champion goes on serving.
    """
    from trainer_daemon.commands.answer import Reply, answer

    answer(run, Reply(approved=False, by=by, reason=reason), config=config, model=model)
