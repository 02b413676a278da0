"""The drill's stage: the user's settings with everything outside replaced, and drops that fit them. Touches nothing of theirs."""

import gzip
import io
import json
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from trainer_daemon.config import ModelSettings, Settings
from trainer_daemon.demo_data import HEADER, monthly_drop
from trainer_daemon.demo_stage import DemoError
from trainer_daemon.policy.events import parse_period

ROWS_MAX = 5_000
REPLACED = ("ledger", "workspace", "bucket", "subscription", "schedule", "mlflow", "orchestrator")
"""What is not taken from the configuration; the rest is."""
_FIRST_YEAR = 2001
_ENTITIES = 1_000
Month = Callable[[int], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drops:
    """Where the drill's months come from.

    Attributes:
        month: The text of a number; other numbers are other texts.
        source: In words.
        generated: Whether they are invented, so that what the configuration says of columns does not fit them.
    """

    month: Month
    source: str
    generated: bool


def drops_of(model: ModelSettings) -> Drops:
    """Copies of the newest drop when the bucket is a folder that has one, otherwise invented customers."""
    newest = None if model.on_google else _newest(model)
    if newest is None:
        return Drops(month=lambda number: _invented(model, number), source="invented customers", generated=True)
    rows = _rows(newest)
    if len(rows) <= 1:
        msg = f"{newest} has no rows to drill with; put a whole drop into the folder, or configure an empty one"
        raise DemoError(msg)
    source = f"copies of {len(rows) - 1:,} rows of {newest.name}, one row left out"
    return Drops(month=lambda number: _without_row(rows, number), source=source, generated=False)


def name_of(model: ModelSettings, number: int) -> str:
    """The file name of the drill's nth month, long past, so that no label is too young."""
    return model.drops.replace("{period}", period_of(number).replace("-", "_"))


def packed(name: str, text: str) -> bytes:
    """The bytes of a drop, as its name says."""
    if name.endswith(".tar.gz"):
        archive, data = io.BytesIO(), text.encode()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            member = tarfile.TarInfo("drop.csv")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        return gzip.compress(archive.getvalue(), mtime=0)
    return gzip.compress(text.encode(), mtime=0) if name.endswith(".gz") else text.encode()


def cut_off(text: str) -> str:
    """The first half, and the first letter of the next row: that has too few cells, whatever separates them."""
    rows = text.split("\n")
    half = len(rows) // 2
    return "\n".join([*rows[:half], rows[half][:1]])


def period_of(number: int) -> str:
    """The drill's nth month."""
    return f"{_FIRST_YEAR + number // 12}-{number % 12 + 1:02}"


def configuration(settings: Settings, model: ModelSettings, drops: Drops) -> str:
    """The file that the drill's daemon reads: one model, all that is outside of it below the file's folder."""
    kept = model.model_dump(mode="json", exclude={"bucket", "subscription", "schedule"})
    kept |= {"bucket": "drops", "start_from": "all", "backlog": "every", "listing_interval_s": min(5.0, model.listing_interval_s)}
    kept["retry_backoff_s"] = min(1.0, model.retry_backoff_s)
    kept["attempts_max"] = max(2, model.attempts_max)  # a run that is killed has failed
    kept["promotion"] |= {"mode": "automatic"}
    if drops.generated:
        kept |= {"ranges": {}}
        kept["promotion"] |= {"slice_columns": []}
    table = {
        "ledger": "sqlite:///var/ledger.db",
        "workspace": "var",
        "log": {"format": "json"},
        "mlflow": {"tracking_uri": "sqlite:///var/mlflow.db", "call_timeout_s": settings.mlflow.call_timeout_s},
        "orchestrator": {"kind": "local", "run_timeout_s": settings.orchestrator.run_timeout_s},
    }
    lines = [f"{key} = {_toml(value)}" for key, value in table.items()]
    lines += ["[[models]]", *(f"{_toml(key)} = {_toml(value)}" for key, value in kept.items() if value is not None)]
    return "\n".join(["# The drill's configuration, made from another one.", *lines, ""])


def _toml(value: Any) -> str:  # noqa: ANN401 - any value of a setting
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_toml(key)} = {_toml(item)}" for key, item in value.items() if item is not None) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _newest(model: ModelSettings) -> Path | None:
    if not model.folder.is_dir():
        return None
    periods = {path: parse_period(path.name, model.drops) for path in model.folder.iterdir() if path.is_file()}
    plain = [path for path, period in periods.items() if period and not path.name.endswith(".tar.gz")]
    return max(plain, key=lambda path: str(periods[path]), default=None)


def _rows(path: Path) -> list[str]:
    """The header and rows; a quoted cell may hold line breaks."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig") as file:
            return [row.rstrip("\r\n") for row in islice(_joined(file), ROWS_MAX + 1)]
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as exc:
        msg = f"{path} cannot be read to drill with: {exc}"
        raise DemoError(msg) from exc


def _joined(lines: Iterable[str]) -> Iterator[str]:
    row = ""
    for line in lines:
        row += line
        if row.count('"') % 2 == 0:
            yield row
            row = ""


def _without_row(rows: list[str], number: int) -> str:
    at = 1 + number % (len(rows) - 1)
    return "\n".join([*rows[:at], *rows[at + 1 :]]) + "\n"


def _invented(model: ModelSettings, number: int) -> str:
    """Months that drift, with the columns that the configuration names."""
    header, *rows = monthly_drop(drift=min(number, 8) / 8, seed=number, rows=_ENTITIES).splitlines()
    names = list(dict.fromkeys(name for name in (model.entity_column, *model.id_columns) if name))
    columns = [*names, *header.removesuffix(HEADER.rpartition(",")[2]).rstrip(",").split(","), model.target]
    return "\n".join([",".join(columns), *_invented_rows(model, rows, len(names))]) + "\n"


def _invented_rows(model: ModelSettings, rows: list[str], ids: int) -> Iterator[str]:
    for customer, row in enumerate(rows):
        features, _, churned = row.rpartition(",")
        label = (model.positive_label if churned == "1" else f"not {model.positive_label}") if model.positive_label else churned
        yield ",".join([*[f"c{customer:05}"] * ids, features, label])
