"""Settings: one TOML file, overridden by the environment, checked once at start and frozen; every problem names its key."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, unquote, urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    FiniteFloat,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from trainer_daemon import config_values as values
from trainer_daemon.config_keys import Allowed
from trainer_daemon.config_notifications import NotificationSettings, notification_problems
from trainer_daemon.config_orchestrator import OrchestratorSettings, orchestrator_problems
from trainer_daemon.config_problems import explain
from trainer_daemon.config_promotion import PromotionSettings
from trainer_daemon.config_section import Section
from trainer_daemon.config_sources import overridden, read_toml, slug
from trainer_daemon.config_training import TrainingSettings, training_problems
from trainer_daemon.errors import ConfigError
from trainer_daemon.policy.text import plain

Range = Annotated[
    tuple[FiniteFloat, FiniteFloat],
    BeforeValidator(values.pair),
    AfterValidator(values.ordered),
    Field(strict=False),
]


class LogSettings(Section):
    """How the daemon logs."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least severe lines that are written.")
    format: Literal["auto", "json", "console"] = Field("auto", description="`auto` writes JSON unless stdout is a terminal.")


class HttpSettings(Section):
    """What the daemon answers over HTTP."""

    listen: Annotated[str, Allowed("<address>:<port>, or empty"), AfterValidator(values.listen_address)] = Field(
        "",
        description="Where health, metrics and the status page can be asked for, as in 127.0.0.1:9464, at the paths /livez, "
        "/readyz, /metrics and /; empty: nowhere. Whoever reaches it may read it, and change nothing.",
    )


class MlflowSettings(Section):
    """Where models and evidence are kept."""

    tracking_uri: Annotated[
        str,
        Allowed("sqlite:///<file> or http(s)://<host>"),
        AfterValidator(values.tracking_uri),
    ] = Field("sqlite:///var/mlflow.db", description="The MLflow server, or a SQLite file that needs no server.")
    ui_url: Annotated[str, Allowed("http(s)://<host>, or empty"), AfterValidator(values.http_url)] = Field(
        "", description="URL of MLflow's user interface, for links to versions; empty: `tracking_uri`, when that is a server."
    )
    call_timeout_s: FiniteFloat = Field(
        60.0, ge=1, le=3600, description="A call of MLflow that takes longer counts as failed and is repeated."
    )
    artifact_location: str = Field(
        "",
        description="Where new experiments keep files; empty: `mlartifacts` in the workspace, or the server's choice.",
    )

    def version_link(self, model: str, version: str) -> str:
        """The page of a model version; empty when there is no server to show it."""
        base = self.ui_url or values.public_address(self.tracking_uri)
        return f"{base}/#/models/{quote(model, safe='')}/versions/{quote(version, safe='')}" if base and version else ""


class ModelSettings(Section):
    """One model: its drops, how it is trained, when it is promoted."""

    name: Annotated[
        str,
        Allowed('up to 64 letters, digits, "_" and "-"'),
    ] = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Name of the registered model.")
    bucket: Annotated[
        str,
        Allowed("a folder, as file:///data/drops or data/drops, or gs://bucket/prefix"),
        AfterValidator(values.bucket_uri),
    ] = Field(
        description="Where the drops arrive: directly in this folder, or directly under this prefix. Into a folder, best write a "
        "file under another name and rename it; what is written in place is waited for until nobody has it open, or, where that "
        "cannot be known, until it has not changed for 10 s."
    )
    subscription: Annotated[
        str,
        Allowed("projects/<project>/subscriptions/<name>, or empty"),
        AfterValidator(values.subscription_name),
    ] = Field("", description="The Pub/Sub subscription that a gs:// bucket notifies; empty: drops are found by listing only.")
    drops: Annotated[
        str,
        Allowed("a file name with {period} in it once"),
        AfterValidator(values.drops_template),
    ] = Field(
        "churn_data_{period}.csv",
        description="Names of the drops; `{period}` matches `2025_03` and `2025-03`, and `.csv` also `.csv.gz` and `.tar.gz`.",
    )
    target: str = Field("Churn", min_length=1, description="The column to predict, whatever its case or place.")
    entity_column: str = Field(
        "",
        description="The customer's id: rows of one customer are held out together, in every month. When it "
        "becomes another column, no candidate is compared with a champion of before, nor one of before evaluated again: "
        "`promote --force` begins anew.",
    )
    id_columns: Annotated[tuple[str, ...], Allowed("a list of column names"), Field(strict=False)] = Field(
        (), description="Further columns that identify a row and must not be learned from."
    )
    positive_label: Annotated[str, Allowed("text, a number, true or false"), BeforeValidator(values.label_text)] = Field(
        "", description="The target's value that means churn, when it is none of 1, yes and true."
    )
    holdout_ratio: FiniteFloat = Field(
        0.2,
        ge=0.05,
        le=0.5,
        description="Share of the customers that no model is ever trained on. When it "
        "changes, candidates are judged by those that neither they nor the champion were trained on, as far as their versions "
        "recorded the ratio; one that did not is taken to have this one.",
    )
    window_months: int = Field(1, ge=1, le=36, description="How many of the newest drops are trained on together.")
    backlog: Literal["every", "newest"] = Field(
        "every", description="Of several waiting drops, train `every` one in order, or only the `newest`."
    )
    start_from: Annotated[
        str,
        Allowed('"all", "newest" or a month such as "2025-03"'),
        AfterValidator(values.start_period),
    ] = Field("all", description="How much history an empty ledger trains.")
    schedule: Annotated[
        str,
        Allowed('five cron fields such as "0 3 * * *", a name such as "@daily", or empty'),
        AfterValidator(values.validate_schedule),
    ] = Field("", description="When to ask for a run besides the arrival of drops; empty: never.")
    timezone: Annotated[
        str,
        Allowed('a time zone such as "Europe/Berlin"'),
        AfterValidator(values.time_zone),
    ] = Field("UTC", description="Of the schedule.")
    jitter_s: FiniteFloat = Field(0.0, ge=0, description="A schedule is acted on up to so much later, chosen at random.")
    on_schedule: Literal["if_changed", "always"] = Field(
        "if_changed", description="Whether a schedule trains again what did not change."
    )
    listing_interval_s: FiniteFloat = Field(
        60.0, gt=0, description="How often the bucket is listed, for drops whose notification was lost."
    )
    max_drop_bytes: int = Field(
        1024**3, ge=1, description="A larger drop is quarantined; also bounds what a compressed one unpacks to."
    )
    allow_schema_change: bool = Field(
        default=False, description="Whether a drop may have other columns than the champion was trained on."
    )
    attempts_max: int = Field(3, ge=1, le=100, description="How often a failing run is started.")
    retry_backoff_s: FiniteFloat = Field(
        10.0, ge=0, description="Wait before the second attempt; doubles with every further one."
    )
    ranges: Annotated[
        Mapping[str, Range],
        Allowed("a table of column = [lowest, highest]"),
    ] = Field({}, description="What values a column may hold; a drop with others is quarantined.")
    training: TrainingSettings = Field(default_factory=TrainingSettings, description="How it is trained.")
    promotion: PromotionSettings = Field(default_factory=PromotionSettings, description="When it is promoted.")

    @property
    def on_google(self) -> bool:
        """Whether `bucket` is one of Google Cloud Storage."""
        return self.bucket.startswith("gs://")

    @property
    def folder(self) -> Path:
        """The folder that `bucket` names, when it is one."""
        return Path(unquote(urlsplit(self.bucket).path))


_Named = ModelSettings | NotificationSettings


class Settings(Section):
    """Everything that can be configured."""

    ledger: Annotated[
        str,
        Allowed("sqlite:///<file> or postgresql+psycopg://<user>@<host>/<database>"),
        AfterValidator(values.ledger_url),
    ] = Field(
        "sqlite:///var/ledger.db",
        description="The daemon's database; relative paths start at the folder of the file. On PostgreSQL daemons may share one.",
    )
    workspace: Annotated[Path, Allowed("a folder"), AfterValidator(values.workspace_path), Field(strict=False)] = Field(
        Path("var"), description="Folder of runs, logs and artifacts."
    )
    environment: Literal["development", "production"] = Field(
        "development", description="Which installation this is; stands in every log line."
    )
    max_parallel_runs: int = Field(
        1,
        ge=1,
        description="Runs at the same time, over all models and all daemons of a ledger; runs of one model go one after another.",
    )
    log: LogSettings = Field(default_factory=LogSettings, description="How the daemon logs.")
    http: HttpSettings = Field(default_factory=HttpSettings, description="What the daemon answers over HTTP.")
    mlflow: MlflowSettings = Field(default_factory=MlflowSettings, description="Where models and evidence are kept.")
    orchestrator: OrchestratorSettings = Field(default_factory=OrchestratorSettings, description="Where pipelines run.")
    models: Annotated[tuple[ModelSettings, ...], Field(strict=False)] = Field(description="The models that are trained.")
    notifications: Annotated[tuple[NotificationSettings, ...], Field(strict=False)] = Field(
        (), description="Who is told what became of drops and candidates."
    )

    @field_validator("mlflow")
    @classmethod
    def _place_artifacts(cls, mlflow: MlflowSettings, info: ValidationInfo) -> MlflowSettings:
        """Without a server somebody has to say where files go; with one the server does."""
        workspace = info.data.get("workspace")
        if mlflow.artifact_location or workspace is None or not mlflow.tracking_uri.startswith("sqlite:"):
            return mlflow
        return mlflow.model_copy(update={"artifact_location": (workspace / "mlartifacts").as_uri()})

    @field_validator("models")
    @classmethod
    def _at_least_one(cls, models: tuple[ModelSettings, ...]) -> tuple[ModelSettings, ...]:
        if not models:
            msg = "must contain at least one [[models]] section"
            raise ValueError(msg)
        return models

    @field_validator("models", "notifications")
    @classmethod
    def _distinct_names(cls, sections: tuple[_Named, ...]) -> tuple[_Named, ...]:
        seen: dict[str, str] = {}
        for name in (section.name for section in sections):
            if other := seen.get(slug(name)):
                msg = f'must differ in their names by more than case and punctuation; "{other}" and "{name}" do not'
                raise ValueError(msg)
            seen[slug(name)] = name
        return sections


def load_settings(path: Path, environ: Mapping[str, str]) -> Settings:
    """Read and check the configuration.

    Args:
        path: The TOML file; relative paths in it start at its folder.
        environ: Environment variables; those that begin with `TRAINER_` override the file.

    Raises:
        ConfigError: With one sentence for every key that is wrong, all of them at once.
    """
    return check_settings(read_toml(path), environ, folder=path.absolute().parent)


def check_settings(table: Mapping[str, Any], environ: Mapping[str, str], *, folder: Path) -> Settings:
    """Check what a configuration file says.

    Args:
        table: The file's content, as TOML is read.
        environ: As for `load_settings`.
        folder: Where relative paths start.

    Raises:
        ConfigError: With one sentence for every key that is wrong, all of them at once.
    """
    merged = overridden(table, environ, Settings)
    try:
        settings = Settings.model_validate(merged.table, context={"folder": folder})
    except ValidationError as exc:
        raise ConfigError(*map(plain, (*merged.problems, *explain(exc, Settings, merged)))) from None
    problems = (
        *merged.problems,
        *_emulators(settings, environ),
        *orchestrator_problems(settings.orchestrator, environ),
        *notification_problems(settings.notifications, environ),
        *(problem for model in settings.models for problem in training_problems(model.name, model.training)),
    )
    if problems:
        raise ConfigError(*problems)
    return settings


def _emulators(settings: Settings, environ: Mapping[str, str]) -> Iterator[str]:
    """Google's client libraries silently talk to whatever these variables name."""
    if settings.environment != "production" or not any(model.on_google for model in settings.models):
        return
    for variable in ("STORAGE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST"):
        if environ.get(variable):
            yield (
                f'environment is "production", but the variable {variable} is set, which sends every call to an emulator: '
                'unset it, or set environment = "development"'
            )
