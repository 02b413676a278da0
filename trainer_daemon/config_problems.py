"""One sentence per wrong key: the key as TOML names it, the value, what is allowed, and the nearest known key for a typo."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from trainer_daemon.config_keys import allowed, is_confidential, keys, listed_section, subsection
from trainer_daemon.config_sources import Merged
from trainer_daemon.config_values import closest
from trainer_daemon.telemetry.redaction import MASK, redacted

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_VALUE_LENGTH_MAX = 100
_NAME = re.compile(r"[\w .-]{1,64}")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*", re.IGNORECASE)
_NO_PORT = re.compile(r'://[^/?#"@\[]*:(?!\d*(?:[/?#"]|$))[^/?#"@]*')
"""What may be a user's name and password in a URL that was misspelt: there is no @, and after the colon no number."""
_INNER: Mapping[str, str] = {
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "tuple_type": "a list",
}
"""Words for what is wrong inside a list or a table that is a key's value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a problem is.

    Attributes:
        key: As TOML names it, a listed section by its name: `models[churn].promotion.metric`.
        step: The key's own name.
        section: The class of the section it is in.
        field: None when the section does not know the key.
        inside: The problem is inside the list or table that the key holds.
    """

    key: str
    step: str
    section: type[BaseModel]
    field: FieldInfo | None
    inside: bool = False


def explain(error: ValidationError, settings: type[BaseModel], merged: Merged) -> tuple[str, ...]:
    """The problems that a validation found, as sentences, each key once."""
    sentences: dict[str, str] = {}
    for detail in error.errors(include_url=False):
        place = _place(detail["loc"], settings, merged.table)
        sentences.setdefault(place.key, _sentence(detail, place, merged))
    return tuple(sentences.values())


def _sentence(detail: "ErrorDetails", place: _Place, merged: Merged) -> str:
    match detail["type"]:
        case "missing":
            return f"{place.key} is missing; it must be {_allowed(detail, place)}"
        case "extra_forbidden":
            return f"{place.key} is not a known key{_meant(place)}"
        case "value_error" if place.field is not None and listed_section(place.field):
            return f"{place.key} {detail['ctx']['error']}"
        case "value_error":
            return f"{_stated(detail, place, merged)}, but {detail['ctx']['error']}"
        case _:
            return f"{_stated(detail, place, merged)}, but must be {_allowed(detail, place)}{_near(detail, place)}"


def _stated(detail: "ErrorDetails", place: _Place, merged: Merged) -> str:
    """What the key holds, and which variable it holds it from."""
    paths = (tuple(detail["loc"][:length]) for length in range(len(detail["loc"]), 0, -1))
    variable = next((merged.origins[path] for path in paths if path in merged.origins), None)
    verb = "names" if detail["loc"][-1] == "[key]" else "is"
    value = MASK if is_confidential(place.field) else _shown(detail["input"])
    return f"{place.key}{f' (from {variable})' if variable else ''} {verb} {value}"


def _shown(value: object) -> str:
    plain = _without_credentials(value) if isinstance(value, str) else value
    text = _NO_PORT.sub(f"://{MASK}", redacted(json.dumps(plain, ensure_ascii=False, default=str)))
    return text if len(text) <= _VALUE_LENGTH_MAX else f"{text[:_VALUE_LENGTH_MAX]}…"


def _without_credentials(text: str) -> str:
    """A colon before an @ comes after a user's name, also where what was to be a URL is none: `http:/ann:…@mlflow`."""
    scheme, separator, rest = text.partition("://")
    if not (separator and _SCHEME.fullmatch(scheme)):
        scheme, separator, rest = "", "", text
    user, _, host = rest.rpartition("@")
    return f"{scheme}{separator}{MASK}@{host}" if ":" in user else text


def _allowed(detail: "ErrorDetails", place: _Place) -> str:
    if place.inside:
        return _INNER.get(detail["type"], detail["msg"].removeprefix("Input should be "))
    if place.field is None or subsection(place.field):
        return "a section of its own"
    return f"a list of [[{place.step}]] sections" if listed_section(place.field) else allowed(place.field)


def _meant(place: _Place) -> str:
    """The nearest key of the same section, or the section inside it that this key belongs to."""
    home = next((key.path for key in keys(place.section) if len(key.path) > 1 and key.path[-1] == place.step), None)
    if home:
        return f"; it belongs into the section {'.'.join(home[:-1])}"
    return closest(place.step, tuple(place.section.model_fields))


def _near(detail: "ErrorDetails", place: _Place) -> str:
    options = get_args(place.field.annotation) if place.field is not None else ()
    return closest(str(detail["input"]), tuple(option for option in options if isinstance(option, str)))


def _place(loc: tuple[int | str, ...], settings: type[BaseModel], table: Mapping[str, Any]) -> _Place:
    """Follow a path through the sections; what lies inside a key's value belongs to that key."""
    key, section = "", settings
    place = _Place(key="the file", step="", section=section, field=None)
    for depth, step in enumerate(loc):
        if isinstance(step, int):
            key += f"[{_label(table, loc[: depth + 1])}]"
            place = _Place(key=key, step=key, section=section, field=None)
            continue
        key += f".{step}" if key else step
        field = section.model_fields.get(step)
        place = _Place(key=key, step=step, section=section, field=field)
        inner = (subsection(field) or listed_section(field)) if field is not None else None
        if inner is None:
            return _inside(place, loc[depth + 1 :])
        section = inner
    return place


def _inside(place: _Place, rest: tuple[int | str, ...]) -> _Place:
    if not rest:
        return place
    steps = "" if rest[-1] == "[key]" else "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in rest)
    return _Place(key=place.key + steps, step=place.step, section=place.section, field=place.field, inside=True)


def _label(table: Mapping[str, Any], path: tuple[int | str, ...]) -> object:
    """The name of a listed section, its index when it has no usable one: what was to be something else may hold a secret."""
    entry: Any = table
    for step in path:
        entry = entry[step]
    name = entry.get("name") if isinstance(entry, dict) else None
    return name if isinstance(name, str) and _NAME.fullmatch(name) else path[-1]
