"""`setup-gcp`: print the script that sets up Google Cloud for the configured models; nothing is changed by the command itself."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from trainer_daemon.commands.opening import CommandError, open_session
from trainer_daemon.commands.setup_jobs import Jobs
from trainer_daemon.commands.setup_script import Setup, Way, script
from trainer_daemon.config import ModelSettings
from trainer_daemon.config_orchestrator import OrchestratorSettings
from trainer_daemon.policy.gcloud import parse_resource
from trainer_daemon.policy.objects import place_of

ACCOUNT_NAME, STEPS_NAME = "trainer-daemon", "trainer-steps"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the configuration does not say; empty texts stand for the defaults.

    Attributes:
        project: Of the daemon's account and of the bucket.
        service_account: The e-mail address of an account that exists.
        location: Where a bucket is made that does not exist.
    """

    project: str = ""
    service_account: str = ""
    location: str = ""


def setup_gcp(options: Options, *, config: Path, model: str | None) -> None:
    """Print the script.

    Raises:
        CommandError: A model is not on Google Cloud, or has no subscription.
        typer.BadParameter: Nobody says which project it is.
    """
    session = open_session(config)
    models = [session.model(name) for name in session.models(model)]
    print(script(replace(_setup(options, ways_of(models)), jobs=_jobs(session.settings.orchestrator))), end="")  # noqa: T201 - the answer


def ways_of(models: Sequence[ModelSettings]) -> tuple[Way, ...]:
    """The way of each model from bucket to daemon.

    Raises:
        CommandError: One of them has none; the sentence names all that have none.
    """
    folders = [model.name for model in models if not model.on_google]
    silent = [model.name for model in models if model.on_google and not model.subscription]
    problems = [
        *(f"the bucket of {name} is a folder, not gs://…" for name in folders),
        *(f"{name} has no `subscription`" for name in silent),
    ]
    if problems:
        msg = f"nothing can be set up: {', '.join(problems)}; correct the configuration, or name another model with --model"
        raise CommandError(msg)
    return tuple(Way(place=place_of(model.bucket, model.drops), subscription=model.subscription) for model in models)


def _setup(options: Options, ways: tuple[Way, ...]) -> Setup:
    projects = {parse_resource(way.subscription).project for way in ways}
    if not options.project and len(projects) > 1:
        msg = f"the subscriptions are in several projects, {', '.join(sorted(projects))}; name that of the account and the bucket"
        raise typer.BadParameter(msg, param_hint="--project")
    project = options.project or projects.pop()
    account = options.service_account or f"{ACCOUNT_NAME}@{project}.iam.gserviceaccount.com"
    return Setup(ways=ways, project=project, account=account, is_new=not options.service_account, location=options.location)


def _jobs(settings: OrchestratorSettings) -> Jobs | None:
    """Where pipelines are executed, when that is on Vertex AI."""
    if settings.kind != "vertex":
        return None
    account = settings.service_account or f"{STEPS_NAME}@{settings.project}.iam.gserviceaccount.com"
    bucket = settings.pipeline_root.removeprefix("gs://").partition("/")[0]
    return Jobs(project=settings.project, location=settings.location, bucket=bucket, account=account)
