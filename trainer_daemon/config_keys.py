"""The keys of the configuration as values: what each is called in TOML and in the environment, and what it allows."""

import json
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

PREFIX = "TRAINER_"
DELIMITER = "__"

_PLAIN: Mapping[Any, str] = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
}


@dataclass(frozen=True, slots=True)
class Allowed:
    """Marks a field's type with the words for what it allows, where the type alone does not say it."""

    words: str


@dataclass(frozen=True, slots=True)
class Confidential:
    """Marks a field whose value may hold a secret where nobody can see it, as the path of a URL: it is never told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of a section or of a section within it.

    Attributes:
        path: As in TOML, relative to the section it was asked for: `("promotion", "metric")`.
    """

    path: tuple[str, ...]
    field: FieldInfo

    def variable(self, prefix: str = PREFIX) -> str:
        """The environment variable that overrides it."""
        return prefix + DELIMITER.join(self.path).upper()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """A section that the environment variables of one prefix override.

    Attributes:
        path: Where the section is in the file's table.
    """

    section: type[BaseModel]
    prefix: str
    path: tuple[str | int, ...]


def keys(section: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[Key]:
    """Every key of a section in the order of its declaration; sections inside it are gone into, lists of sections are not."""
    for name, field in section.model_fields.items():
        if inner := subsection(field):
            yield from keys(inner, (*path, name))
        elif not listed_section(field):
            yield Key(path=(*path, name), field=field)


def subsection(field: FieldInfo) -> type[BaseModel] | None:
    """The class of the section that a field holds, None when it is an ordinary key."""
    annotation = field.annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def listed_section(field: FieldInfo) -> type[BaseModel] | None:
    """The class of the sections that a field holds a list of, as `[[models]]`."""
    arguments = get_args(field.annotation)
    first = arguments[0] if arguments else None
    return first if isinstance(first, type) and issubclass(first, BaseModel) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A section as TOML writes it, with the keys that stand directly below its header.

    Attributes:
        title: `[log]`, `[[models]]`, or empty for the keys at the top of the file.
        prefix: What its environment variables begin with.
        is_optional: It is one of a list that may be empty.
    """

    title: str
    section: type[BaseModel]
    prefix: str
    keys: tuple[Key, ...]
    is_optional: bool = False


def headers(settings: type[BaseModel]) -> Iterator[Header]:
    """Every section, in an order that TOML accepts: keys first, then the sections inside."""
    yield from _headers(settings, (), PREFIX, listed=False)


def _headers(
    section: type[BaseModel], path: tuple[str, ...], prefix: str, *, listed: bool, is_optional: bool = False
) -> Iterator[Header]:
    title = ".".join(path)
    own = tuple(key for key in keys(section) if len(key.path) == 1)
    shown = f"[[{title}]]" if listed else f"[{title}]" if title else ""
    yield Header(title=shown, section=section, prefix=prefix, keys=own, is_optional=is_optional)
    for name, field in section.model_fields.items():
        step = f"{prefix}{name}{DELIMITER}".upper()
        if inner := subsection(field):
            yield from _headers(inner, (*path, name), step, listed=False)
        elif inner := listed_section(field):
            optional = not field.is_required()
            yield from _headers(inner, (*path, name), f"{step}<NAME>{DELIMITER}", listed=True, is_optional=optional)


def toml_value(value: object) -> str:
    """A value as TOML writes it."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{key} = {toml_value(entry)}" for key, entry in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False, default=str)


def allowed(field: FieldInfo) -> str:
    """What a field allows, in words that follow "must be"."""
    return _words(field.annotation, tuple(field.metadata))


def _words(annotation: object, metadata: tuple[object, ...]) -> str:
    marked = [mark.words for mark in metadata if isinstance(mark, Allowed)]
    if marked:
        return marked[0]
    origin = get_origin(annotation)
    if origin is Literal:
        return choices(get_args(annotation))
    if origin in {Union, types.UnionType}:
        return " or ".join(_words(part, ()) for part in get_args(annotation))
    if origin is tuple:
        return "a list of texts"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "a table"
    return _PLAIN.get(annotation, "a value") + _bounds(metadata)


def choices(values: tuple[object, ...]) -> str:
    """A closed set in words: `"a", "b" or "c"`."""
    quoted = [f'"{value}"' for value in values]
    if len(quoted) == 1:
        return quoted[0]
    return "one of " + ", ".join(quoted[:-1]) + f" or {quoted[-1]}"


def _bounds(metadata: tuple[object, ...]) -> str:
    bounds = {type(mark): mark for mark in metadata}
    low, high, above, below = bounds.get(Ge), bounds.get(Le), bounds.get(Gt), bounds.get(Lt)
    if isinstance(low, Ge) and isinstance(high, Le):
        return f" from {low.ge} to {high.le}"
    parts = [
        f" of at least {low.ge}" if isinstance(low, Ge) else "",
        f" above {above.gt}" if isinstance(above, Gt) else "",
        f" of at most {high.le}" if isinstance(high, Le) else "",
        f" below {below.lt}" if isinstance(below, Lt) else "",
    ]
    return "".join(parts)


def is_confidential(field: FieldInfo | None) -> bool:
    """Whether a field's value must not be told."""
    return field is not None and any(isinstance(mark, Confidential) for mark in field.metadata)
