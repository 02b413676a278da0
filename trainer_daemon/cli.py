"""The command line: how commands are spelled, what help teaches, which exit code an error has; `commands` does the work."""

import gc
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from trainer_daemon import cli_drill, cli_promotion
from trainer_daemon.cli_options import CONFIG, AsJson, Config, Model, OneModel, Reason, examples
from trainer_daemon.errors import ConfigError, TrainerError

FAILED, MISUSED = 1, 2
_GARBAGE_DEFAULT = gc.get_threshold()
_GARBAGE_SHORT = 200_000

app = typer.Typer(
    name="trainer-daemon",
    help="Trains a model for every data drop that arrives, exactly once, and makes it champion when it is really better.",
    epilog="""\b
First steps:
  trainer-daemon demo      see it work, in two minutes
  trainer-daemon init      write a trainer.toml
  trainer-daemon doctor    see whether everything is in place
  trainer-daemon run       watch the folder, train, promote
  trainer-daemon status    see where everything stands

Exit codes: 0 done, 1 failed, 2 wrong configuration or usage.""",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer's signature of a callback
    if wanted:
        from importlib.metadata import version

        typer.echo(f"trainer-daemon {version('trainer-daemon')}")
        raise typer.Exit


@app.callback()
def _common(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    del version


@app.command(epilog=examples("run", "run -c /etc/trainer.toml", "run --until-idle      # for a laptop, a CronJob, CI"))
def run(
    config: Config = CONFIG,
    *,
    until_idle: Annotated[bool, typer.Option("--until-idle", help="Stop when nothing is left to do.")] = False,
) -> None:
    """Run the daemon until SIGTERM or Ctrl-C.

    It watches for drops, trains each one once, and promotes what is better. Runs under way go on when
    the daemon stops, and are taken up again when it starts. The exit code is 1 when a run failed for good.
    """
    from trainer_daemon.commands.run import run

    gc.freeze()
    gc.set_threshold(*_GARBAGE_DEFAULT)
    if not run(config=config, until_idle=until_idle):
        raise typer.Exit(FAILED)


@app.command(
    epilog=examples(
        "trigger                                        # the newest drop",
        "trigger --period 2025-03",
        'trigger --drop churn_data_2025_03.csv --force --reason "new seed"',
    )
)
def trigger(
    config: Config = CONFIG,
    *,
    model: OneModel = None,
    period: Annotated[str | None, typer.Option("--period", metavar="YYYY-MM", help="Of this month.", show_default=False)] = None,
    drop: Annotated[
        str | None, typer.Option("--drop", metavar="URI", help="A URI, a path or a file name.", show_default=False)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Train again what was trained before.")] = False,
    reason: Reason = "",
) -> None:
    """Ask the daemon for a training run.

    Of a drop that it knows; of the newest one when none is named.
    """
    if period is not None and not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", period):
        message = f"{period!r} is no month; it must be YYYY-MM, as 2025-03"
        raise typer.BadParameter(message, param_hint="--period")
    if period and drop:
        message = "name a period or a drop, not both"
        raise typer.BadParameter(message, param_hint="--period / --drop")
    from trainer_daemon.commands.trigger import Wish, trigger

    trigger(Wish(period=period, drop=drop, force=force, reason=reason), config=config, model=model)


@app.command(
    epilog=examples(
        "predict --dataset customers.csv                # by the champion, into the workspace",
        "predict --dataset gs://crm/customers.csv.gz --out gs://crm/scores/today.parquet",
        "predict --dataset customers.csv --version 3 --out scores.csv",
    )
)
def predict(
    dataset: Annotated[str, typer.Option("--dataset", metavar="URI", help="What to predict: a path, file:// or gs://.")],
    config: Config = CONFIG,
    *,
    model: OneModel = None,
    version: Annotated[
        int | None, typer.Option("--version", metavar="N", min=1, help="Instead of the champion.", show_default=False)
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            metavar="URI",
            help="A file that ends in .parquet or .csv, which is replaced, or a folder. [default: <workspace>/predictions]",
            show_default=False,
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Predict every row of a data set.

    On the configured orchestrator, once: the same data, model version and code have one run, which a second call follows
    or whose predictions it finds. Ctrl-C cancels; a call that was killed is taken up by the next one.
    """
    from trainer_daemon.commands.predict import PredictWish, predict

    predict(PredictWish(dataset=dataset, version=version, out=out), config=config, model=model, as_json=json)


@app.command(epilog=examples("status", "status --json | jq '.models[].champion'"))
def status(config: Config = CONFIG, *, model: Model = None, json: AsJson = False) -> None:
    """Show champions, runs and what waits.

    Works while the daemon runs, while it does not, and before it ever did.
    """
    from trainer_daemon.commands.status import status

    status(config=config, model=model, as_json=json)


@app.command(
    epilog=examples(
        "explain churn_data_2025_03.csv             # a drop: file name, path or URI",
        "explain 2025-03                            # everything of a month",
        "explain churn-2025-03-1f0c9a3be2d4-1       # a run: its name, or the beginning of its key",
        "explain 7                                  # a model version",
    )
)
def explain(
    what: Annotated[str, typer.Argument(metavar="WHAT", help="A drop, a period, a run or a version number.")],
    config: Config = CONFIG,
    *,
    model: Model = None,
    json: AsJson = False,
) -> None:
    """Tell the story of a drop, a run or a version.

    One timeline: event, run, evaluation, the outcome of every rule, alias - and what to do next.
    """
    from trainer_daemon.commands.explain import explain

    explain(what, config=config, model=model, as_json=json)


@app.command(
    epilog=examples(
        'cancel churn-2025-03-1f0c9a3be2d4-1 --reason "wrong file"', "cancel 1f0c9a        # the beginning of its key"
    )
)
def cancel(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Its name or the beginning of its key, as `status` shows it.")],
    config: Config = CONFIG,
    *,
    model: Model = None,
    reason: Reason = "",
) -> None:
    """Ask the daemon to end a run.

    One that is queued or running.
    """
    from trainer_daemon.commands.cancel import cancel

    cancel(run, config=config, model=model, reason=reason)


cli_promotion.add_commands(app)


@app.command(
    epilog=examples(
        "doctor",
        "doctor --json | jq '.checks[] | select(.status == \"failed\")'",
        "doctor --run-hello --timeout 600      # on a cluster that has to pull the image first",
    )
)
def doctor(
    config: Config = CONFIG,
    *,
    model: Model = None,
    json: AsJson = False,
    run_hello: Annotated[
        bool, typer.Option("--run-hello", help="Also run the pipeline `hello` on the orchestrator, and wait for it.")
    ] = False,
    timeout: Annotated[float, typer.Option("--timeout", metavar="SECONDS", min=1, help="How long `hello` may take.")] = 300,
    notify: Annotated[bool, typer.Option("--notify", help="Also send a test to every endpoint of [[notifications]].")] = False,
) -> None:
    """Check everything the daemon needs, with a fix for each failure.

    Configuration, ledger, workspace, bucket, subscription and the notifications between them, MLflow, orchestrator,
    endpoints, clock. Nothing is changed, and it may run beside the daemon. The exit code is 1 when a check failed;
    warnings do not count.
    """
    from trainer_daemon.commands.doctor import doctor

    if not doctor(config=config, model=model, as_json=json, hello_s=timeout if run_hello else None, notify=notify):
        raise typer.Exit(FAILED)


@app.command(
    "import-schedule",
    epilog=examples(
        "import-schedule                        # what Kubeflow Pipelines starts by itself",
        "import-schedule monthly --disable      # one of them, by name or id",
    ),
)
def import_schedule(
    recurring_run: Annotated[str | None, typer.Argument(metavar="[RECURRING_RUN]", help="Its id or name.")] = None,
    config: Config = CONFIG,
    *,
    model: OneModel = None,
    disable: Annotated[bool, typer.Option("--disable", help="Also disable it on the server, after asking.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Disable without asking.")] = False,
    json: AsJson = False,
) -> None:
    """Turn a recurring run of Kubeflow Pipelines into a schedule.

    Without RECURRING_RUN they are listed. The lines are printed; the configuration file is left alone.
    """
    from trainer_daemon.commands.import_schedule import ImportWish, import_schedule

    wish = ImportWish(recurring_run=recurring_run, disable=disable, confirmed=yes)
    import_schedule(wish, config=config, model=model, as_json=json)


@app.command(
    "setup-gcp",
    epilog=examples(
        "setup-gcp --print > setup.sh             # read it, then: bash setup.sh",
        "setup-gcp --print --location europe-west3 --service-account trainer@my-project.iam.gserviceaccount.com",
    ),
)
def setup_gcp(
    config: Config = CONFIG,
    *,
    model: Model = None,
    print_: Annotated[bool, typer.Option("--print", help="Required: the script is printed, and nothing is changed.")] = False,
    project: Annotated[
        str, typer.Option("--project", metavar="ID", help="Of account and bucket; else the subscription's.", show_default=False)
    ] = "",
    service_account: Annotated[
        str,
        typer.Option(
            "--service-account",
            metavar="E-MAIL",
            help="The daemon's account, when there is one; else trainer-daemon is made.",
            show_default=False,
        ),
    ] = "",
    location: Annotated[
        str, typer.Option("--location", metavar="PLACE", help="Make buckets that are missing, there.", show_default=False)
    ] = "",
) -> None:
    """Write the commands that set up Google Cloud.

    A shell script of `gcloud` commands for the configured bucket and subscription: topic, dead letters, notification and
    the least permissions that suffice. It can be run again; what exists is kept.
    """
    if not print_:
        message = "this command changes nothing, it writes a script: add --print, read it, and run it"
        raise typer.BadParameter(message, param_hint="--print")
    from trainer_daemon.commands.setup_gcp import Options, setup_gcp

    options = Options(project=project, service_account=service_account, location=location)
    setup_gcp(options, config=config, model=model)


@app.command(epilog=examples("init", "init --path /etc/trainer.toml"))
def init(path: Annotated[Path, typer.Option("--path", "-p", help="The file to write.")] = CONFIG) -> None:
    """Write a commented configuration file.

    Every key is in it, with its default. An existing file is left alone.
    """
    from trainer_daemon.commands.init import init

    init(path)


@app.command(epilog=examples("demo"))
def demo(folder: Annotated[Path, typer.Option("--folder", help="Made anew at each call.")] = Path("demo-workspace")) -> None:
    """See it work, in about two minutes.

    Monthly drops arrive in a folder; the daemon trains, compares, promotes, rejects and quarantines. Needs no network.
    """
    from trainer_daemon.demo import demo

    demo(folder)


cli_drill.add_commands(app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; errors of ours are sentences on standard error, never a traceback.

    Args:
        arguments: What follows the program's name; None for those of this process.
    """
    gc.set_threshold(_GARBAGE_SHORT)  # looking for garbage among what imports make costs a short command a sixth of its time
    try:
        app(arguments, prog_name="trainer-daemon")
    except ConfigError as exc:
        _complain(exc.problems)
        sys.exit(MISUSED)
    except TrainerError as exc:
        _complain((str(exc),))
        sys.exit(FAILED)


def _complain(sentences: tuple[str, ...]) -> None:
    for sentence in sentences:
        print(f"error: {sentence}", file=sys.stderr)  # noqa: T201 - where errors of a command line belong
