"""Checks of single values; each returns the value in its final form or raises ValueError with words that follow "but"."""

import difflib
import importlib.util
import os
import re
from datetime import date, datetime, time
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import ValidationInfo

from trainer_daemon.config_keys import choices
from trainer_daemon.policy.crontab import parse_crontab
from trainer_daemon.policy.events import drop_pattern
from trainer_daemon.policy.notices import NoticeKind
from trainer_daemon.policy.promotion import HIGHER_IS_BETTER

BUILT_IN_PIPELINES = ("training", "hello")
LEDGER_DRIVERS = {"sqlite": "sqlite3", "postgresql+psycopg": "psycopg"}
_SQLITE = "sqlite:///"
_OTHER_POSTGRES = re.compile(r"postgres(ql)?(\+[a-z0-9]+)?")
_GOOGLE_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_SUBSCRIPTION = re.compile(r"projects/[^/\s]+/subscriptions/[A-Za-z][A-Za-z0-9._~+%-]{2,254}")
_KUBERNETES_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_GOOGLE_ACCOUNT = re.compile(r"[a-z0-9-]+@[a-z0-9.-]+\.gserviceaccount\.com")
_GOOGLE_PROJECT = re.compile(r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]")
_GOOGLE_LOCATION = re.compile(r"[a-z]+(-[a-z]+)+\d+")
_GOOGLE_NETWORK = re.compile(r"projects/\d+/global/networks/[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")
LABELS_OF_OURS = "trainer_"
_LABEL_OF_VERTEX = "vertex-ai-pipelines-run-billing-id"
_STEP = re.compile(r"[a-z][a-z0-9_-]*")
_QUANTITY = re.compile(r"\d+(\.\d+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_PERIOD = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


def ledger_url(value: str, info: ValidationInfo) -> str:
    """A database URL whose driver is installed; a relative SQLite path becomes absolute."""
    scheme = value.partition("://")[0]
    if _OTHER_POSTGRES.fullmatch(scheme) and scheme not in LEDGER_DRIVERS:
        _refuse(f"must begin with postgresql+psycopg:// instead of {scheme}://")
    driver = LEDGER_DRIVERS.get(scheme)
    if driver is None or "://" not in value:
        _refuse("must be sqlite:///<file> or postgresql+psycopg://<user>@<host>/<database>")
    if scheme == "sqlite":
        return sqlite_url(value, _folder(info))
    if importlib.util.find_spec(driver) is None:
        _refuse(f"needs the Python package {driver}, which is not installed; install {driver} or use sqlite:///<file>")
    return _postgres_url(value)


def _postgres_url(value: str) -> str:
    """What SQLAlchemy and libpq can both read; a host may also be a socket's folder, in the query."""
    try:
        parts = urlsplit(value)
        has_host = bool(parts.port or parts.hostname) or "host=" in parts.query
    except ValueError:
        has_host = False
    if not has_host or "@" in parts.path or parts.fragment or not parts.path.strip("/"):
        _refuse(
            "must be postgresql+psycopg://<user>:<password>@<host>:<port>/<database>; "
            "in a password, write every character but letters and digits as %xx"
        )
    return value


def sqlite_url(value: str, folder: Path) -> str:
    """A SQLite URL with an absolute path, relative ones taken from the folder."""
    path, _, query = value.removeprefix(_SQLITE).partition("?")
    if not value.startswith(_SQLITE) or not path or ":memory:" in path:
        _refuse("must name a file, as in sqlite:///var/ledger.db; a database in memory forgets everything at a restart")
    return f"{_SQLITE}{absolute(path, folder)}" + (f"?{query}" if query else "")


def tracking_uri(value: str, info: ValidationInfo) -> str:
    """Where MLflow is: a SQLite file or a server."""
    if value.startswith("sqlite:"):
        return sqlite_url(value, _folder(info))
    parts = urlsplit(value)
    if parts.scheme in {"", "file"}:
        _refuse(
            "must be sqlite:///<file> or http(s)://<host>; MLflow's store of plain files cannot search "
            "or move aliases safely when two processes write"
        )
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        _refuse("must be sqlite:///<file> or http(s)://<host>")
    return value


def bucket_uri(value: str, info: ValidationInfo) -> str:
    """The place of the drops: a folder as an absolute `file:///` URI, or `gs://bucket/prefix` without a slash at its end."""
    scheme, separator, rest = value.partition("://")
    if scheme == "gs" and separator:
        return _google_uri(rest)
    if separator and scheme != "file":
        _refuse("must be a folder, as in file:///data/drops or data/drops, or gs://bucket/prefix; there are no other buckets")
    path = unquote(rest.removeprefix("localhost")) if separator else value
    if not path:
        _refuse("must name a folder, as in file:///data/drops")
    return absolute(path, _folder(info)).as_uri()


def _google_uri(rest: str) -> str:
    """The rules for names are cloud.google.com/storage/docs/buckets#naming and /objects#naming."""
    bucket, _, prefix = rest.partition("/")
    if not _GOOGLE_BUCKET.fullmatch(bucket):
        _refuse("must be gs://bucket or gs://bucket/prefix; a bucket's name is of 3 to 222 small letters, digits, -, _ and .")
    if prefix.startswith("/") or not prefix.isprintable():
        _refuse("must be gs://bucket/prefix with one slash between them, and nothing invisible")
    return f"gs://{bucket}/{prefix}".rstrip("/")


def subscription_name(value: str, info: ValidationInfo) -> str:
    """The full name of a Pub/Sub subscription, or empty; only buckets on Google Cloud notify by it."""
    if not value:
        return value
    if not _SUBSCRIPTION.fullmatch(value):
        _refuse("must be projects/<project>/subscriptions/<name>, the full name of a Pub/Sub subscription, or empty")
    if not str(info.data.get("bucket", "gs://")).startswith("gs://"):
        _refuse("needs a bucket that notifies by Pub/Sub, gs://bucket/prefix; a folder is watched without one")
    return value


def listen_address(value: str) -> str:
    """`<address>:<port>` of this machine, or empty."""
    address, _, port = value.rpartition(":")
    if value and not (address and port.isascii() and port.isdigit() and 0 < int(port) < 65536):  # noqa: PLR2004 - ports of TCP
        _refuse("must be <address>:<port>, as in 127.0.0.1:9464, with a port from 1 to 65535, or empty")
    return value


def http_url(value: str) -> str:
    """The URL of a server without a slash at its end, or empty."""
    parts = urlsplit(value)
    if value and (parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment):
        _refuse("must be http(s)://<host>, with a path at most")
    if parts.username or parts.password:
        _refuse("must be without a name and a password; orchestrator.auth says how the daemon says who it is")
    return value.rstrip("/")


def public_address(url: str) -> str:
    """The URL of a server as a browser may be given it, without name and password; empty for anything but a server."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"}:
        return ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")


def webhook_url(value: str) -> str:
    """Where something can be posted to."""
    wanted = "must be http(s)://<host>, with a path and a query at most, and no spaces in it"
    try:
        parts = urlsplit(value)
        is_complete = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        _refuse(wanted)
    if not is_complete or parts.fragment or not value.isascii() or not value.isprintable() or " " in value:
        _refuse(wanted)
    if parts.username or parts.password:
        _refuse("must be without a name and a password")
    return value


def notice_kind(value: str) -> str:
    """Something that somebody can be notified of."""
    kinds = tuple(map(str, NoticeKind))
    if value not in kinds:
        _refuse(f"must be {choices(kinds)}" + closest(value, kinds))
    return value


def not_empty(value: tuple[str, ...]) -> tuple[str, ...]:
    """A list with something in it."""
    if not value:
        _refuse("must name at least one")
    return value


def kubernetes_name(value: str) -> str:
    """A name that Kubernetes would take, or empty."""
    if value and not _KUBERNETES_NAME.fullmatch(value):
        _refuse('must be of small letters, digits, "-" and "."')
    return value


def account_name(value: str) -> str:
    """A service account of Kubernetes or of Google Cloud, or empty."""
    if "@" in value:
        if not _GOOGLE_ACCOUNT.fullmatch(value):
            _refuse("must be the e-mail address of a service account, as in name@project.iam.gserviceaccount.com")
        return value
    return kubernetes_name(value)


def google_project(value: str) -> str:
    """The id of a project, or empty."""
    if value and not _GOOGLE_PROJECT.fullmatch(value):
        _refuse("must be the id of a project: small letters, digits and hyphens; gcloud projects list shows them")
    return value


def google_location(value: str) -> str:
    """A region, or empty."""
    if value and not _GOOGLE_LOCATION.fullmatch(value):
        _refuse('must be a region such as "europe-west1"')
    return value


def google_network(value: str) -> str:
    """The full name of a VPC network, or empty."""
    if value and not _GOOGLE_NETWORK.fullmatch(value):
        _refuse("must be projects/<number>/global/networks/<name>, with the number of the project, not its id")
    return value


def label_key(value: str) -> str:
    """A key of a label that is not one of ours."""
    if not _LABEL_KEY.fullmatch(value):
        _refuse('must be a label: a small letter, then small letters, digits, "_" and "-", at most 63')
    if value.startswith(LABELS_OF_OURS):
        _refuse(f'must not begin with "{LABELS_OF_OURS}", which the daemon\'s own labels do')
    if value == _LABEL_OF_VERTEX:
        _refuse("must be another one: Vertex AI writes its own value over this one")
    return value


def label_value(value: str) -> str:
    """A value of a label."""
    if not _LABEL_VALUE.fullmatch(value):
        _refuse('must be a value of a label: small letters, digits, "_" and "-", at most 63')
    return value


def file_path(value: str, info: ValidationInfo) -> str:
    """The path of a file made absolute, or empty; whether it is there is seen when it is read, since secrets are mounted late."""
    return str(absolute(value, _folder(info))) if value else value


def existing_file(value: str, info: ValidationInfo) -> str:
    """The absolute path of a file that is there, or empty."""
    path = file_path(value, info)
    if path and not Path(path).is_file():
        _refuse(f"must be the path of a file; there is no file {path}")
    return path


def step_name(value: str) -> str:
    """A step of a pipeline, or `default`."""
    if not _STEP.fullmatch(value):
        _refuse('must be the name of a step, as train_model, or "default"')
    return value


def quantity(value: str) -> str:
    """An amount of cores or of bytes as Kubernetes writes it."""
    if not _QUANTITY.fullmatch(value):
        _refuse("must be a quantity of Kubernetes, such as 500m, 2 or 4Gi")
    return value


def workspace_path(value: Path, info: ValidationInfo) -> Path:
    """The folder made absolute."""
    return absolute(str(value), _folder(info))


def pipeline_name(value: str, info: ValidationInfo) -> str:
    """A built-in pipeline, or the absolute path of a compiled one that exists."""
    if value in BUILT_IN_PIPELINES:
        return value
    path = absolute(value, _folder(info))
    if not path.is_file():
        _refuse(f"must be {choices(BUILT_IN_PIPELINES)}, or the path of a compiled pipeline; there is no file {path}")
    return str(path)


def drops_template(value: str) -> str:
    """A file name with one `{period}`."""
    if "/" in value:
        _refuse("must be a file name without folders, as in churn_data_{period}.csv")
    try:
        drop_pattern(value)
    except ValueError:
        _refuse("must contain {period} exactly once, as in churn_data_{period}.csv")
    return value


def start_period(value: str) -> str:
    """`all`, `newest` or a month."""
    if value not in {"all", "newest"} and not _PERIOD.fullmatch(value):
        _refuse('must be "all", "newest" or a month such as "2025-03"')
    return value


def validate_schedule(value: str) -> str:
    """Cron text, or empty. The only place that says what a schedule may look like."""
    if value:
        parse_crontab(value)
    return value


def time_zone(value: str) -> str:
    """A name that the time zone database knows."""
    try:
        ZoneInfo(value)
    except (ValueError, OSError, LookupError):
        _refuse('must be a time zone such as "UTC" or "Europe/Berlin"' + closest(value, tuple(available_timezones())))
    return value


def metric_name(value: str) -> str:
    """A metric that evaluations contain."""
    if value not in HIGHER_IS_BETTER:
        _refuse(f"must be {choices(tuple(HIGHER_IS_BETTER))}" + closest(value, tuple(HIGHER_IS_BETTER)))
    return value


def pair(value: object) -> object:
    """Two values, as TOML or Python holds them."""
    if not isinstance(value, (list, tuple)) or len(value) != 2:  # noqa: PLR2004 - lowest and highest
        _refuse("must be [lowest, highest]")
    return value


def ordered(value: tuple[float, float]) -> tuple[float, float]:
    """A range whose ends are in order."""
    if value[0] > value[1]:
        _refuse("must be [lowest, highest] with the lower number first")
    return value


def label_text(value: object) -> object:
    """A label as the drops contain it, although TOML may hold it as a number or a boolean."""
    return str(value) if isinstance(value, (bool, int)) else value


def hyperparameter(value: object) -> object:
    """Something that JSON can hold, since parameters are part of a run's identity."""
    if isinstance(value, (date, datetime, time)):
        _refuse("must be text, a number, true, false or a list of these; dates have no meaning here")
    return value


def _refuse(words: str) -> NoReturn:
    raise ValueError(words) from None


def closest(word: str, known: tuple[str, ...]) -> str:
    """`; did you mean "…"?`, or nothing when nothing known is near."""
    near = difflib.get_close_matches(word.lower(), [name.lower() for name in known], n=1, cutoff=0.6)
    return f'; did you mean "{next(name for name in known if name.lower() == near[0])}"?' if near else ""


def absolute(path: str, folder: Path) -> Path:
    """The path as seen from the folder, `~` expanded, without `..`."""
    return Path(os.path.normpath(folder / Path(path).expanduser()))  # links stay links: they are how people move volumes


def _folder(info: ValidationInfo) -> Path:
    """The configuration file's folder; values that come from nowhere else are seen from the working directory."""
    return (info.context or {}).get("folder") or Path.cwd()
