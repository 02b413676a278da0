"""Fits text into a tag: what was JSON stays JSON, and what was left out is marked. Pure."""

import json

_STRING_LENGTHS = (600, 300, 150, 80, 40, 20)
_MARK = "…"


def shortened(text: str, limit: int) -> str:
    """The text itself when it fits, otherwise a shorter one.

    Args:
        text: Plain text, or a JSON object, whose long strings are cut.
        limit: Characters; at least 100.
    """
    if len(text) <= limit:
        return text
    try:
        document = json.loads(text)
    except ValueError:
        return _cut(text, limit)
    lengths = _STRING_LENGTHS if isinstance(document, dict) else ()
    candidates = (_json({"shortened": True} | _cut_entries(document, length)) for length in lengths)
    return next((candidate for candidate in candidates if len(candidate) <= limit), None) or _wrapped(text, limit)


def _cut_entries(document: dict[str, object], length: int) -> dict[str, object]:
    return {key: _cut_strings(inner, length) for key, inner in document.items()}


def _cut_strings(value: object, length: int) -> object:
    match value:
        case dict():
            return _cut_entries(value, length)
        case list():
            return [_cut_strings(inner, length) for inner in value]
        case str():
            return _cut(value, length)
        case _:
            return value


def _wrapped(text: str, limit: int) -> str:
    """A JSON object around the beginning of the text, which escaping may make twice as long, since it is JSON itself."""
    frame = len(_json({"shortened": ""}))
    generous = _json({"shortened": _cut(text, limit - frame)})
    return generous if len(generous) <= limit else _json({"shortened": _cut(text, (limit - frame) // 2)})


def _json(document: dict[str, object]) -> str:
    return json.dumps(document, ensure_ascii=False)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + _MARK
