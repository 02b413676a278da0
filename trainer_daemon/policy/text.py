"""Text from outside, made fit to be kept: for sentences, and for documents whose every other character counts. Pure."""

import json
import re
from typing import Any

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""What no database takes: PostgreSQL refuses the first, an encoding all others."""


def plain(text: str) -> str:
    """What can be printed, on any terminal and in any log; the rest is shown as `?`."""
    return text if text.isprintable() else "".join(character if character.isprintable() else "?" for character in text)


def storable(value: Any) -> Any:  # noqa: ANN401 - JSON
    """A JSON value in which every text can be stored."""
    match value:
        case str():
            return _UNSTORABLE.sub("?", value)
        case dict():
            return {storable(key): storable(inner) for key, inner in value.items()}
        case list():
            return [storable(inner) for inner in value]
        case _:
            return value


def read_document(text: str) -> tuple[dict[str, Any], str]:
    """A JSON object that can be stored on any database, or an empty one and what is wrong with the text."""
    try:
        document = storable(json.loads(text))
    except (ValueError, RecursionError) as exc:
        return {}, f"is not JSON: {exc}"
    return (document, "") if isinstance(document, dict) else ({}, "is not a JSON object")
