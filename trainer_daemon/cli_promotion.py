"""The commands by which a person decides who is champion; see `cli`."""

import re
from pathlib import Path
from typing import Annotated

import typer

from trainer_daemon.cli_options import CONFIG, AsJson, By, Config, Model, NeededReason, OneModel, examples

RunName = Annotated[str, typer.Argument(metavar="RUN", help="Its name, the beginning of its key, or its version.")]


def add_commands(app: typer.Typer) -> None:
    """Add them to the command line."""
    name = "churn-2025-03-1f0c9a3be2d4-1"
    app.command(epilog=examples(f'approve {name} --reason "looks right"', 'approve 7 --by ann --reason "checked the slices"'))(
        approve
    )
    app.command(epilog=examples(f'reject {name} --reason "the campaign distorts this month"'))(reject)
    app.command(epilog=examples('promote 7 --force --reason "the campaign is over, this one is right again"'))(promote)
    app.command(
        epilog=examples(
            'rollback --reason "scores are off"              # to the previous champion',
            'rollback --to 3 --reason "scores are off"',
        )
    )(rollback)
    app.command(epilog=examples("history", "history --json | jq '.models[].champions[-1]'"))(history)
    app.command(epilog=examples("replay --policy stricter.toml", "replay --policy stricter.toml --since 2025-01 --json"))(replay)
    app.command(epilog=examples(f"report {name}", "report 7 --out report.html     # a model version"))(report)


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


def promote(
    version: Annotated[int, typer.Argument(metavar="VERSION", min=1, help="Of the model in MLflow.")],
    reason: NeededReason,
    config: Config = CONFIG,
    *,
    force: Annotated[bool, typer.Option("--force", help="Although its run was rejected, or nothing was decided.")] = False,
    by: By = "",
    model: OneModel = None,
    json: AsJson = False,
) -> None:
    """Make a version champion, whatever the rules said.

    The daemon carries it out before anything else. Who did it and why is kept in the ledger and on the version.
    """
    from trainer_daemon.commands.intervene import Wish, promote

    promote(Wish(version=version, by=by, reason=reason), is_forced=force, config=config, model=model, as_json=json)


def rollback(
    reason: NeededReason,
    config: Config = CONFIG,
    *,
    to: Annotated[
        int | None, typer.Option("--to", metavar="VERSION", min=1, help="Instead of the previous champion.", show_default=False)
    ] = None,
    by: By = "",
    model: OneModel = None,
    json: AsJson = False,
) -> None:
    """Put the previous champion back.

    The daemon carries it out before anything else. The version that is rolled back cannot become champion again by itself,
    only by `promote --force`; candidates of later runs can. A second rollback goes one champion further back.
    """
    from trainer_daemon.commands.intervene import Wish, roll_back

    roll_back(Wish(version=to, by=by, reason=reason), config=config, model=model, as_json=json)


def history(config: Config = CONFIG, *, model: Model = None, json: AsJson = False) -> None:
    """Show who was champion from when to when, and why.

    With the numbers that the decisions were made on.
    """
    from trainer_daemon.commands.reigns import history

    history(config=config, model=model, as_json=json)


def report(
    what: Annotated[str, typer.Argument(metavar="WHAT", help="A run, a version, or a drop or a period with one run.")],
    config: Config = CONFIG,
    *,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="[default: the run's name with .html]", show_default=False)
    ] = None,
    model: Model = None,
) -> None:
    """Write the report of a run as one HTML file.

    Decision and rules, metrics, curves, slices, scores, and all periods. The MLflow run has the same page, report.html.
    """
    from trainer_daemon.commands.report import report

    report(what, out=out, config=config, model=model)


def replay(
    policy: Annotated[Path, typer.Option("--policy", metavar="FILE", help="A configuration file with other rules.")],
    config: Config = CONFIG,
    *,
    since: Annotated[str, typer.Option("--since", metavar="YYYY-MM", help="From this period on.", show_default=False)] = "",
    model: Model = None,
    json: AsJson = False,
) -> None:
    """Judge every stored evaluation again by other rules.

    Shows which decisions would have been different. Nothing is trained and nothing changes. Every candidate is held against
    the champion of then, also where the other rules would have made another champion by then. The file's rules are taken as
    they stand: no environment variable overrides them.
    """
    if since and not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", since):
        message = f"{since!r} is no month; it must be YYYY-MM, as 2025-03"
        raise typer.BadParameter(message, param_hint="--since")
    from trainer_daemon.commands.replay import replay

    replay(policy, since=since, config=config, model=model, as_json=json)
