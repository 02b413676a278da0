"""Where configuration comes from: the TOML file, and the environment laid over it. Checks only names."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from trainer_daemon.config_keys import DELIMITER, PREFIX, Scope, keys, listed_section
from trainer_daemon.config_values import closest
from trainer_daemon.errors import ConfigError
from trainer_daemon.policy.text import plain

_OTHER_VARIABLES = frozenset({"TRAINER_CONFIG", "TRAINER_RUN"})
"""Variables of the command line and of a run's processes, which are no settings."""
_SERVICE_LINK = re.compile(r"_SERVICE_(HOST|PORT)(_|$)|_PORT(_\d+_|$)")
"""Kubernetes sets such variables for a service whose name begins with `trainer`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The file with the environment laid over it.

    Attributes:
        table: As TOML would have it.
        problems: Sentences about variables that override nothing.
        origins: Which variable a key came from, by the key's path in the table.
    """

    table: dict[str, Any]
    problems: tuple[str, ...] = ()
    origins: Mapping[tuple[str | int, ...], str] = field(default_factory=dict)


def read_toml(path: Path) -> dict[str, Any]:
    """The table in a file.

    Raises:
        ConfigError: There is no such file, or it is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        problem = f"there is no configuration file {path}; `trainer-daemon init` writes one"
    except UnicodeDecodeError as exc:
        problem = f"{path} is not UTF-8 text: byte {exc.start} is {exc.object[exc.start]:#04x}; save it as UTF-8"
    except RecursionError:
        problem = f"{path} is not read: its lists or tables are nested too deeply"
    except ValueError as exc:  # also of numbers with thousands of digits, which the parser forgets
        problem = f"{path} is not TOML: {exc}"
    except OSError as exc:
        problem = f"{path} cannot be read: {exc.strerror}"
    raise ConfigError(plain(problem))


def overridden(table: Mapping[str, Any], environ: Mapping[str, str], settings: type[BaseModel]) -> Merged:
    """Lay the variables that begin with `TRAINER_` over the file; a model's are found by its name, whatever its case."""
    variables = {name.upper(): value for name, value in environ.items() if name.upper().startswith(PREFIX)}
    result: dict[str, Any] = {"mlflow": {}, **deepcopy(dict(table))}
    known: dict[str, tuple[str | int, ...]] = {}
    for scope in _scopes(result, settings):
        known |= {key.variable(scope.prefix): scope.path + key.path for key in keys(scope.section)}
        for path, value in _values(scope, variables):
            _put(result, scope.path + path, value)
    unknown = sorted(name for name in variables if name not in known and not _foreign(name))
    return Merged(
        table=result,
        problems=tuple(f"the environment variable {name} overrides no key{closest(name, tuple(known))}" for name in unknown),
        origins={path: name for name, path in known.items() if name in variables},
    )


def slug(name: str) -> str:
    """A model's name as environment variables contain it, in lower case: letters, digits and single underscores."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _scopes(table: Mapping[str, Any], settings: type[BaseModel]) -> Iterator[Scope]:
    yield Scope(section=settings, prefix=PREFIX, path=())
    for name, declared in settings.model_fields.items():
        section = listed_section(declared)
        entries = table.get(name)
        if section is None or not isinstance(entries, list):
            continue
        for index, entry in enumerate(entries):
            if isinstance(entry, dict) and isinstance(entry.get("name"), str):
                prefix = f"{PREFIX}{name}{DELIMITER}{slug(entry['name'])}{DELIMITER}".upper()
                yield Scope(section=section, prefix=prefix, path=(name, index))


def _values(scope: Scope, variables: Mapping[str, str]) -> Iterator[tuple[tuple[str, ...], object]]:
    """Paths and values of the keys of a scope that the environment overrides."""
    names = {key.variable(scope.prefix): key.path for key in keys(scope.section)}
    texts = {name: variables[name] for name in names if name in variables}
    if not texts:
        return
    from trainer_daemon.config_variables import Variables  # a third of this module's import time, and rarely needed

    nested = Variables(scope, texts)()
    for name in texts:
        yield names[name], _got(nested, names[name])


def _put(table: dict[str, Any], path: tuple[str | int, ...], value: object) -> None:
    """Set one key; a section that is no table in the file is left as it is, since the check has something to say about it."""
    inner: Any = table
    for step in path[:-1]:
        if isinstance(inner, dict):
            inner = inner.setdefault(step, {})
        elif isinstance(inner, list) and isinstance(step, int):
            inner = inner[step]
    if isinstance(inner, dict):
        inner[path[-1]] = value


def _got(table: Mapping[str, Any], path: tuple[str, ...]) -> object:
    inner: Any = table
    for step in path:
        inner = inner[step]
    return inner


def _foreign(name: str) -> bool:
    return name in _OTHER_VARIABLES or _SERVICE_LINK.search(name) is not None
