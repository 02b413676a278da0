import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from trainer_daemon.config import ModelSettings, Settings, check_settings, load_settings
from trainer_daemon.config_keys import headers, keys
from trainer_daemon.config_notifications import NotificationSettings
from trainer_daemon.config_reference import PAGE, reference
from trainer_daemon.config_template import template
from trainer_daemon.errors import ConfigError
from trainer_daemon.policy.promotion import HIGHER_IS_BETTER

FOLDER = Path("/etc/trainer")


def a_table(*, model: Mapping[str, Any] | None = None, **top: Any) -> dict[str, Any]:  # noqa: ANN401 - any key
    """A configuration with one model, as TOML is read."""
    return {**top, "models": [{"name": "churn", "bucket": "drops", **(model or {})}]}


def checked(table: Mapping[str, Any], **environ: str) -> Settings:
    """The settings of a file in `FOLDER`."""
    return check_settings(table, environ, folder=FOLDER)


def problems(table: Mapping[str, Any], **environ: str) -> tuple[str, ...]:
    """What is wrong with a configuration."""
    with pytest.raises(ConfigError) as caught:
        checked(table, **environ)
    return caught.value.problems


def problems_if_any(table: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[str, ...] | None:
    """What is wrong with a configuration, None when nothing is."""
    try:
        check_settings(table, environ, folder=FOLDER)
    except ConfigError as exc:
        return exc.problems
    return None


def the_model(**changes: Any) -> ModelSettings:  # noqa: ANN401 - any key
    """The only model of a valid configuration."""
    (model,) = checked(a_table(model=changes)).models
    return model


def test_name_and_bucket_are_enough() -> None:
    """Everything else has a default."""
    settings = checked(a_table())
    (model,) = settings.models
    assert (model.name, model.target, model.promotion.metric, model.training.estimator) == ("churn", "Churn", "log_loss", "auto")
    assert (model.promotion.thresholds, model.promotion.max_loss) == ({"roc_auc": 0.6}, {"roc_auc": 0.05})
    assert (model.promotion.confidence, model.promotion.leak_column_auc) == (0.0, 0.99)
    assert (settings.max_parallel_runs, settings.environment, settings.orchestrator.kind) == (1, "development", "local")


def test_relative_paths_start_at_the_folder_of_the_file() -> None:
    """Wherever the daemon is started from."""
    settings = checked(a_table(workspace="jobs"))
    assert settings.ledger == "sqlite:////etc/trainer/var/ledger.db"
    assert settings.mlflow.tracking_uri == "sqlite:////etc/trainer/var/mlflow.db"
    assert settings.workspace == FOLDER / "jobs"
    assert settings.mlflow.artifact_location == "file:///etc/trainer/jobs/mlartifacts"
    assert settings.models[0].bucket == "file:///etc/trainer/drops"


def test_a_server_decides_where_artifacts_go() -> None:
    """Only without one the daemon has to say it."""
    assert checked(a_table(mlflow={"tracking_uri": "https://mlflow.example"})).mlflow.artifact_location == ""


def test_an_artifact_location_is_kept() -> None:
    """What was configured is not replaced."""
    assert checked(a_table(mlflow={"artifact_location": "file:///m"})).mlflow.artifact_location == "file:///m"


@pytest.mark.parametrize(
    ("bucket", "folder"),
    [
        ("drops", "/etc/trainer/drops"),
        ("./a/../drops", "/etc/trainer/drops"),
        ("/data/drops", "/data/drops"),
        ("file:///data/drops", "/data/drops"),
        ("file://localhost/data/drops", "/data/drops"),
        ("file://drops/in", "/etc/trainer/drops/in"),
        ("file:///data/my%20drops", "/data/my drops"),
        ("/data/100% größe #1", "/data/100% größe #1"),
    ],
)
def test_bucket_is_a_folder_however_it_is_written(bucket: str, folder: str) -> None:
    """URI or path, absolute or relative; quoting survives the way there and back."""
    model = the_model(bucket=bucket)
    assert model.folder == Path(folder)
    assert model.bucket == Path(folder).as_uri()


@pytest.mark.parametrize(
    ("bucket", "place"),
    [
        ("gs://drops", "gs://drops"),
        ("gs://drops/", "gs://drops"),
        ("gs://drops/in/", "gs://drops/in"),
        ("gs://drops/in/größe #1", "gs://drops/in/größe #1"),
    ],
)
def test_bucket_is_on_google_however_it_is_written(bucket: str, place: str) -> None:
    """A slash at the end means nothing; nothing is quoted, as in Google's own tools."""
    model = the_model(bucket=bucket, subscription="projects/p/subscriptions/sub")
    assert (model.bucket, model.on_google, model.subscription) == (place, True, "projects/p/subscriptions/sub")


@pytest.mark.parametrize("variable", ["STORAGE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST"])
def test_emulator_is_refused_in_production(variable: str) -> None:
    """It would swallow every call; elsewhere, and without Google Cloud, the variable is nobody's business."""
    on_google = {"bucket": "gs://drops/in"}
    (problem,) = problems(a_table(environment="production", model=on_google), **{variable: "127.0.0.1:1"})
    assert problem.startswith(f'environment is "production", but the variable {variable} is set')
    assert checked(a_table(model=on_google), **{variable: "127.0.0.1:1"}).models[0].on_google
    assert not checked(a_table(environment="production"), **{variable: "127.0.0.1:1"}).models[0].on_google


@pytest.mark.parametrize(("label", "text"), [("Yes", "Yes"), (1, "1"), (True, "True")])
def test_positive_label_is_text_however_it_is_written(label: object, text: str) -> None:
    """A drop is text, too."""
    assert the_model(positive_label=label).positive_label == text


def test_settings_are_frozen() -> None:
    """Nobody changes them after start."""
    with pytest.raises(ValidationError, match="frozen"):
        checked(a_table()).environment = "production"  # type: ignore[misc] # that it is refused is what is tested


WRONG: list[tuple[dict[str, Any], str]] = [
    (a_table(max_parallel_runs=0), "max_parallel_runs is 0, but must be a whole number of at least 1"),
    (a_table(max_parallel_runs="2"), 'max_parallel_runs is "2", but must be a whole number of at least 1'),
    (a_table(environment="prod"), 'environment is "prod", but must be one of "development" or "production"'),
    (a_table(workspace=3), "workspace is 3, but must be a folder"),
    (a_table(log={"level": "warn"}), 'log.level is "warn", but must be one of "debug", "info", "warning" or "error"'),
    (a_table(log="info"), 'log is "info", but must be a section of its own'),
    (a_table(log={"levl": "info"}), 'log.levl is not a known key; did you mean "level"?'),
    (a_table(ledgr="x"), 'ledgr is not a known key; did you mean "ledger"?'),
    (a_table(xyzzy=1), "xyzzy is not a known key"),
    (a_table(level="info"), "level is not a known key; it belongs into the section log"),
    (a_table(ledger="mysql://a@b/c"), 'ledger is "mysql://***@b/c", but must be sqlite:///<file> or postgresql+psycopg'),
    (a_table(ledger="postgres://a:b@c/d"), 'ledger is "postgres://***@c/d", but must begin with postgresql+psycopg://'),
    (a_table(ledger="postgresql+psycopg2://a@c/d"), "must begin with postgresql+psycopg:// instead of postgresql+psycopg2://"),
    (a_table(ledger="postgresql+psycopg://a:b@c"), 'ledger is "postgresql+psycopg://***@c", but must be postgresql+psycopg:'),
    (a_table(ledger="postgresql+psycopg://a:5/c#d?e@f/g"), 'ledger is "postgresql+psycopg://***@f/g", but must be postgres'),
    (a_table(ledger="postgresql+psycopg://ann:hunter2 db/x"), 'ledger is "postgresql+psycopg://***/x", but must be'),
    (a_table(ledger="postgresql+psycopg://a:b@c:d/e"), "write every character but letters and digits as %xx"),
    (a_table(ledger="sqlite://"), 'ledger is "sqlite://", but must name a file'),
    (a_table(ledger="sqlite:///:memory:"), 'ledger is "sqlite:///:memory:", but must name a file'),
    (a_table(mlflow={"tracking_uri": "mlruns"}), 'tracking_uri is "mlruns", but must be sqlite:///<file> or http'),
    (a_table(mlflow={"tracking_uri": "file:///m"}), "MLflow's store of plain files"),
    (a_table(mlflow={"tracking_uri": "databricks://x"}), 'mlflow.tracking_uri is "databricks://x", but must be sqlite'),
    (a_table(mlflow={"call_timeout_s": 0.5}), "mlflow.call_timeout_s is 0.5, but must be a number from 1 to 3600"),
    (a_table(orchestrator={"kind": "kubflow"}), 'must be one of "local", "kubeflow" or "vertex"; did you mean "kubeflow"?'),
    (a_table(orchestrator={"run_timeout_s": 0}), "orchestrator.run_timeout_s is 0, but must be a number above 0"),
    (a_table(http={"listen": "9464"}), 'http.listen is "9464", but must be <address>:<port>, as in 127.0.0.1:9464'),
    (a_table(http={"listen": "127.0.0.1:99999"}), "with a port from 1 to 65535, or empty"),
    ({}, "models is missing; it must be a list of [[models]] sections"),
    ({"models": []}, "models must contain at least one [[models]] section"),
    ({"models": 3}, "models is 3, but must be a list of [[models]] sections"),
    ({"models": [{"bucket": "x"}]}, 'models[0].name is missing; it must be up to 64 letters, digits, "_" and "-"'),
    ({"models": [{"name": "churn"}]}, "models[churn].bucket is missing; it must be a folder"),
    ({"models": [{"name": "a-b", "bucket": "x"}, {"name": "A_b", "bucket": "y"}]}, "models must differ in their names by more"),
    (a_table(model={"name": "a b"}), 'models[a b].name is "a b", but must be up to 64 letters'),
    (a_table(model={"bucket": "s3://b"}), 'models[churn].bucket is "s3://b", but must be a folder, as in file:///data/drops'),
    (a_table(model={"bucket": "gs://b"}), 'models[churn].bucket is "gs://b", but must be gs://bucket or gs://bucket/prefix'),
    (a_table(model={"bucket": "gs://My_Bucket/in"}), "a bucket's name is of 3 to 222 small letters"),
    (a_table(model={"bucket": "gs://drops//in"}), "must be gs://bucket/prefix with one slash between them"),
    (
        a_table(model={"bucket": "gs://drops", "subscription": "trainer"}),
        'subscription is "trainer", but must be projects/<project>/subscriptions/<name>',
    ),
    (a_table(model={"subscription": "projects/p/subscriptions/sub"}), "but needs a bucket that notifies by Pub/Sub"),
    (a_table(model={"bucket": ""}), 'models[churn].bucket is "", but must name a folder'),
    (a_table(model={"drops": "churn.csv"}), 'models[churn].drops is "churn.csv", but must contain {period} exactly once'),
    (a_table(model={"drops": "{period}{period}"}), "but must contain {period} exactly once"),
    (a_table(model={"drops": "a/{period}.csv"}), "but must be a file name without folders"),
    (a_table(model={"target": ""}), 'models[churn].target is "", but must be'),
    (a_table(model={"id_columns": "id"}), 'models[churn].id_columns is "id", but must be a list of column names'),
    (a_table(model={"id_columns": [1]}), "models[churn].id_columns[0] is 1, but must be text"),
    (a_table(model={"positive_label": 1.5}), "models[churn].positive_label is 1.5, but must be text, a number, true or false"),
    (a_table(model={"holdout_ratio": 0.9}), "models[churn].holdout_ratio is 0.9, but must be a number from 0.05 to 0.5"),
    (a_table(model={"holdout_ratio": True}), "models[churn].holdout_ratio is true, but must be a number from 0.05 to 0.5"),
    (a_table(model={"window_months": 37}), "models[churn].window_months is 37, but must be a whole number from 1 to 36"),
    (a_table(model={"backlog": "all"}), 'models[churn].backlog is "all", but must be one of "every" or "newest"'),
    (a_table(model={"start_from": "2025-13"}), 'models[churn].start_from is "2025-13", but must be "all", "newest" or a month'),
    (a_table(model={"schedule": "* *"}), 'models[churn].schedule is "* *", but must'),
    (a_table(model={"timezone": "Europe/Berln"}), 'such as "UTC" or "Europe/Berlin"; did you mean "Europe/Berlin"?'),
    (a_table(model={"timezone": "../etc"}), 'models[churn].timezone is "../etc", but must be a time zone'),
    (a_table(model={"listing_interval_s": float("inf")}), "listing_interval_s is Infinity, but must be a number above 0"),
    (a_table(model={"max_drop_bytes": 1.5}), "models[churn].max_drop_bytes is 1.5, but must be a whole number of at least 1"),
    (a_table(model={"allow_schema_change": "yes"}), 'models[churn].allow_schema_change is "yes", but must be true or false'),
    (a_table(model={"attempts_max": 0}), "models[churn].attempts_max is 0, but must be a whole number from 1 to 100"),
    (a_table(model={"ranges": {"Tenure": [2, 1]}}), "ranges.Tenure is [2, 1], but must be [lowest, highest] with the lower"),
    (a_table(model={"ranges": {"Tenure": [1]}}), "models[churn].ranges.Tenure is [1], but must be [lowest, highest]"),
    (a_table(model={"ranges": {"Tenure": [1, "x"]}}), 'models[churn].ranges.Tenure[1] is "x", but must be a number'),
    (a_table(model={"ranges": 1}), "models[churn].ranges is 1, but must be a table of column = [lowest, highest]"),
    (a_table(model={"traget": "x"}), 'models[churn].traget is not a known key; did you mean "target"?'),
    (a_table(model={"metric": "f1"}), "models[churn].metric is not a known key; it belongs into the section promotion"),
    (a_table(model={"training": {"estimator": "random_forrest"}}), 'or "hist_gradient_boosting"; did you mean "random_forest"?'),
    (a_table(model={"training": {"pipeline": "no.yaml"}}), "there is no file /etc/trainer/no.yaml"),
    (a_table(model={"training": {"seed": -1}}), "models[churn].training.seed is -1, but must be a whole number from 0 to"),
    (a_table(model={"training": {"hyperparameters": {"C": date(2025, 1, 1)}}}), 'hyperparameters.C is "2025-01-01", but'),
    (a_table(model={"training": {"hyperparameters": {"C": 1}}}), "hyperparameters needs an estimator that is named: with"),
    (
        a_table(model={"training": {"estimator": "random_forest", "hyperparameters": {"max_dept": 3}}}),
        'training.hyperparameters.max_dept is no parameter of random_forest; did you mean "max_depth"?',
    ),
    (a_table(model={"promotion": {"metric": "auc"}}), 'promotion.metric is "auc", but must be one of "roc_auc"'),
    (a_table(model={"promotion": {"thresholds": {"roc_acu": 1}}}), 'promotion.thresholds names "roc_acu", but must be one of'),
    (a_table(model={"promotion": {"thresholds": {"f1": "x"}}}), 'promotion.thresholds.f1 is "x", but must be a number'),
    (a_table(model={"promotion": {"thresholds": {"roc_auc": 60.0}}}), "but must hold a bound from 0 to 1 for roc_auc, not 60"),
    (a_table(model={"promotion": {"thresholds": {"log_loss": -1}}}), "but must hold a bound of at least 0 for log_loss, not -1"),
    (a_table(model={"promotion": {"max_loss": {"f1": -1}}}), "but must hold numbers of at least 0; f1 is negative"),
    (a_table(model={"promotion": {"max_slice_loss": {"f1": -1}}}), "but must hold numbers of at least 0; f1 is negative"),
    (a_table(model={"promotion": {"max_loss": {"roc_auc": 5}}}), "but must hold a number from 0 to 1 for roc_auc, not 5"),
    (a_table(model={"promotion": {"max_slice_loss": {"f1": 1.5}}}), "but must hold a number from 0 to 1 for f1, not 1.5"),
    (a_table(model={"promotion": {"metric": "f1", "min_gain": 2.0}}), "min_gain is 2.0, but must be below 1 for f1: no gain is"),
    (a_table(model={"promotion": {"leak_bounds": {"roc_auc": 99.0}}}), "but must hold a bound from 0 to 1 for roc_auc, not 99"),
    (a_table(model={"promotion": {"confidence": 1.0}}), "confidence is 1.0, but must be a number of at least 0 below 1"),
    (a_table(model={"promotion": {"drift_without_reference": "skip"}}), 'must be one of "fail" or "ignore"'),
    (a_table(model={"promotion": {"min_gain": float("nan")}}), "promotion.min_gain is NaN, but must be a number of at least 0"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "words"), WRONG, ids=[words[:60] for _, words in WRONG])
def test_wrong_key_is_one_sentence(table: dict[str, Any], words: str) -> None:
    """It names the key as TOML does, the value and what is allowed."""
    (problem,) = problems(table)
    assert words in problem
    assert "\n" not in problem


def test_all_problems_are_told_at_once() -> None:
    """Nobody repairs a file in six rounds."""
    table = a_table(model={"traget": 1, "window_months": 0}, ledgr="x", log={"level": 1})
    found = problems(table, TRAINER_LEDGRE="x", TRAINER_MODELS__CHURN__ATTEMPTS_MAX="many")
    assert len(found) == 6


def test_typo_of_a_metric_is_recognised() -> None:
    """The nearest known one is proposed."""
    (problem,) = problems(a_table(model={"promotion": {"metric": "roc_acu"}}))
    assert problem.endswith('; did you mean "roc_auc"?')


def test_every_metric_that_evaluations_contain_may_be_named() -> None:
    """Configuration and policy know the same ones."""
    for metric in HIGHER_IS_BETTER:
        assert the_model(promotion={"metric": metric, "thresholds": {metric: 0.5}}).promotion.metric == metric


def test_passwords_are_not_told() -> None:
    """Neither by the settings' repr nor by a problem."""
    settings = checked(a_table(mlflow={"tracking_uri": "https://ann:hunter2@mlflow.example?access_token=hunter3"}))
    (problem,) = problems(a_table(ledger="mysql://ann:hunter2@db/x?password=hunter3"))
    assert "hunter" not in repr(settings)
    assert "hunter" not in problem
    assert "hunter2" in settings.mlflow.tracking_uri


def test_section_is_not_called_by_a_name_that_can_be_none() -> None:
    """Somebody has pasted the URL into the wrong line."""
    name = "https://ann:hunter2@chat.example/hook?token=hunter2"
    told = problems(a_table(notifications=[{"name": name, "url": ""}]))
    assert [problem.partition(" ")[0] for problem in told] == ["notifications[0].name", "notifications[0].url"]
    assert "hunter2" not in "".join(told)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg:/?ann:hunter2@db:5432/trainer",
        "postgresql+ann:hunter2@db://trainer",
        "http//ann:hunter2@mlflow:5000",
        'ann:hun"ter:hunter2@db',
        "sqlite:ann:hunter2@db/x",
    ],
)
def test_password_is_not_told_where_what_was_to_be_a_url_is_none(url: str) -> None:
    """Somebody has misspelt it, and shows the message around."""
    for problem in (*problems(a_table(ledger=url)), *problems(a_table(mlflow={"tracking_uri": url}))):
        assert "hunter2" not in problem


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://ann@db/x",
        "postgresql+psycopg://ann:p%40ss@db:5432/x?sslmode=verify-full&sslrootcert=/etc/ca.pem",
        "postgresql+psycopg:///x?host=/run/postgresql",
    ],
)
def test_ledger_may_be_on_postgresql(url: str) -> None:
    """Whatever libpq takes can be said in the query."""
    assert checked(a_table(ledger=url)).ledger == url


OVERRIDES: list[tuple[str, str, object]] = [
    ("TRAINER_LEDGER", "sqlite:///l.db", "sqlite:////etc/trainer/l.db"),
    ("TRAINER_WORKSPACE", "w", FOLDER / "w"),
    ("TRAINER_MAX_PARALLEL_RUNS", "3", 3),
    ("TRAINER_LOG__LEVEL", "debug", "debug"),
    ("TRAINER_MLFLOW__TRACKING_URI", "http://m:5000", "http://m:5000"),
    ("TRAINER_MLFLOW__CALL_TIMEOUT_S", "1.5", 1.5),
    ("TRAINER_MODELS__CHURN__TARGET", "5", "5"),
    ("trainer_models__churn__target", "Left", "Left"),
    ("TRAINER_MODELS__CHURN__POSITIVE_LABEL", "1", "1"),
    ("TRAINER_MODELS__CHURN__ID_COLUMNS", '["a", "b"]', ("a", "b")),
    ("TRAINER_MODELS__CHURN__ALLOW_SCHEMA_CHANGE", "true", True),
    ("TRAINER_MODELS__CHURN__RANGES", "{ Tenure = [0, 72] }", {"Tenure": (0.0, 72.0)}),
    ("TRAINER_MODELS__CHURN__RANGES", '{"Tenure": [0, 72]}', {"Tenure": (0.0, 72.0)}),
    ("TRAINER_MODELS__CHURN__TRAINING__HYPERPARAMETERS", '{"C": 0.5}', {"C": 0.5}),
    ("TRAINER_MODELS__CHURN__PROMOTION__MIN_GAIN", "0.01", 0.01),
    ("TRAINER_MODELS__CHURN__PROMOTION__THRESHOLDS", "{ f1 = 0.7 }", {"f1": 0.7}),
]


@pytest.mark.parametrize(("variable", "text", "value"), OVERRIDES, ids=[f"{name}={text}" for name, text, _ in OVERRIDES])
def test_environment_overrides_the_file(variable: str, text: str, value: object) -> None:
    """Each value gets the type of its key; lists and tables are TOML or JSON."""
    training = {"estimator": "logistic_regression"}
    model = {"target": "x", "promotion": {"thresholds": {"roc_auc": 0.9}}, "training": training}
    table = a_table(model=model, log={"level": "error"})
    settings = check_settings(table, {variable: text}, folder=FOLDER)
    steps = variable.lower().removeprefix("trainer_").split("__")
    found: object = settings.models[0] if steps[0] == "models" else settings
    for step in steps[2:] if steps[0] == "models" else steps:
        found = getattr(found, step)
    assert found == value


def test_environment_leaves_the_rest_of_a_section_alone() -> None:
    """One key is replaced, its neighbours stay."""
    table = a_table(log={"level": "error", "format": "json"})
    log = checked(table, TRAINER_LOG__LEVEL="debug").log
    assert (log.level, log.format) == ("debug", "json")
    assert table["log"]["level"] == "error"


def test_models_are_named_in_the_environment_whatever_their_punctuation() -> None:
    """`EU-churn.v2` could not be part of a variable's name."""
    table = {"models": [{"name": "EU-churn--2", "bucket": "a"}, {"name": "us", "bucket": "b"}]}
    first, second = checked(table, TRAINER_MODELS__EU_CHURN_2__TARGET="gone").models
    assert (first.target, second.target) == ("gone", "Churn")


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("TRAINER_LEDGRE", "TRAINER_LEDGER"),
        ("TRAINER_MODELS__CHRUN__TARGET", "TRAINER_MODELS__CHURN__TARGET"),
        ("TRAINER_MODELS__CHURN__PROMOTION__MIN_GAIM", "TRAINER_MODELS__CHURN__PROMOTION__MIN_GAIN"),
        ("TRAINER_LOG", "TRAINER_LOG__LEVEL"),
    ],
)
def test_variable_that_overrides_nothing_is_told(variable: str, meant: str) -> None:
    """A typo must not be silence."""
    (problem,) = problems(a_table(), **{variable: "x"})
    assert problem.startswith(f"the environment variable {variable} overrides no key")
    assert variable == "TRAINER_LOG" or f'did you mean "{meant}"?' in problem


def test_wrong_value_from_the_environment_names_the_variable() -> None:
    """It is not in the file, where one would look."""
    (problem,) = problems(a_table(), TRAINER_MODELS__CHURN__WINDOW_MONTHS="many")
    key = "models[churn].window_months (from TRAINER_MODELS__CHURN__WINDOW_MONTHS)"
    assert problem == f'{key} is "many", but must be a whole number from 1 to 36'


def test_variables_of_others_are_no_settings() -> None:
    """The command line has some, and Kubernetes makes more for a service called trainer-daemon."""
    checked(
        a_table(),
        TRAINER_CONFIG="/etc/trainer.toml",
        TRAINER_RUN="churn-1",
        TRAINER_DAEMON_SERVICE_HOST="10.0.0.1",
        TRAINER_DAEMON_SERVICE_PORT="80",
        TRAINER_DAEMON_PORT="tcp://10.0.0.1:80",
        TRAINER_DAEMON_PORT_80_TCP_ADDR="10.0.0.1",
        HOME="/root",
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "level", "f1", "x"]), inner, max_size=3),
    max_leaves=8,
)
known_keys = st.sampled_from([*Settings.model_fields, *ModelSettings.model_fields, "x"])


@given(top=st.dictionaries(known_keys, json_values, max_size=4), model=st.dictionaries(known_keys, json_values, max_size=4))
def test_whatever_the_file_says_ends_in_settings_or_sentences(top: dict[str, Any], model: dict[str, Any]) -> None:
    """Never in another exception, and every problem is one line."""
    found = problems_if_any({"models": [model], **top}, {"TRAINER_LOG__LEVEL": "debug"})
    assert not any("\n" in problem for problem in found or ())
    assert found is None or found


@given(text=st.text(max_size=30), variable=st.sampled_from([name for name, _, _ in OVERRIDES]))
def test_whatever_a_variable_says_ends_in_settings_or_sentences(text: str, variable: str) -> None:
    """The same for the environment."""
    found = problems_if_any(a_table(), {variable: text})
    assert found is None or len(found) == 1


def test_missing_file_says_what_writes_one(tmp_path: Path) -> None:
    """The first thing a new user meets."""
    with pytest.raises(ConfigError, match=r"there is no configuration file .*/no\.toml; `trainer-daemon init` writes one"):
        load_settings(tmp_path / "no.toml", {})


@pytest.mark.parametrize(
    ("content", "words"),
    [(b'ledger = "x\n', "is not TOML: .*line 1"), (b"\xff\xfe", "is not UTF-8 text: byte 0"), (b"a = 1\na = 2\n", "is not TOML")],
)
def test_broken_file_says_where(tmp_path: Path, content: bytes, words: str) -> None:
    """File and line, not a traceback."""
    path = tmp_path / "trainer.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=words) as caught:
        load_settings(path, {})
    assert str(path) in str(caught.value)


def test_file_is_loaded_relative_to_itself(tmp_path: Path) -> None:
    """The whole way, from a file with a byte order mark."""
    path = tmp_path / "trainer.toml"
    path.write_text('\ufeff[[models]]\nname = "churn"\nbucket = "drops"\n', encoding="utf-8")
    assert load_settings(path, {}).models[0].folder == tmp_path / "drops"


def test_template_means_the_defaults() -> None:
    """What `init` writes changes nothing."""
    assert checked(tomllib.loads(template())) == checked(a_table())


def test_template_means_the_defaults_with_every_comment_removed() -> None:
    """Each commented key is there, with its default, in a place where TOML accepts it."""
    assignments = {f"# {key.path[-1]} = " for header in headers(Settings) for key in header.keys}
    lines = [line.removeprefix("# ") if line.startswith(tuple(assignments)) else line for line in template().splitlines()]
    ours, _, theirs = "\n".join(lines).partition("# [[notifications]]")
    assert set(tomllib.loads(theirs)) == set(NotificationSettings.model_fields)
    table = tomllib.loads(ours)
    (model,) = table["models"]
    assert {key.path[0] for key in keys(Settings)} <= set(table)
    assert {key.path[0] for key in keys(ModelSettings)} == set(model)
    table["mlflow"].pop("artifact_location")
    assert checked(table) == checked(a_table())


def test_template_takes_names_with_quotes() -> None:
    """A folder may be called anything."""
    table = tomllib.loads(template(model="m", bucket='C:\\my "drops"'))
    assert table["models"] == [{"name": "m", "bucket": 'C:\\my "drops"', "training": {}, "promotion": {}}]


def test_reference_page_is_up_to_date() -> None:
    """`python -m trainer_daemon.config_reference` writes it."""
    assert PAGE.read_text(encoding="utf-8") == reference()


def test_every_key_is_documented() -> None:
    """In a sentence, with its variable."""
    text = reference()
    for header in headers(Settings):
        assert header.keys
        for key in header.keys:
            assert (key.field.description or "").endswith(".")
            assert f"`{key.variable(header.prefix)}`" in text
