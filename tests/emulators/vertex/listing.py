"""Lists of pipeline jobs: filters as AIP-160 has them, as far as the service takes them, and pages."""

import base64
import re
from collections.abc import Callable, Mapping

from tests.emulators.kfp.store import Document
from tests.emulators.vertex.refusal import refuse
from tests.emulators.vertex.views import state_of

_PAGE, _PAGE_MAX = 50, 100
_TERM = re.compile(r'\s*(?P<field>[a-z_]+(?:\.[a-z0-9_]+)?)\s*(?P<operator>!=|=|:)\s*(?:"(?P<value>[^"]*)"|(?P<star>\*))\s*')
Test = Callable[[Document], bool]
_READ: Mapping[str, Callable[[Document], str]] = {
    "state": lambda job: f"PIPELINE_STATE_{state_of(job)}",
    "display_name": lambda job: str(job["body"]["displayName"]),
}


def matching(text: str) -> Test:
    """Whether a job is one that a filter wants.

    Raises:
        RefusedError: The service would not take the filter.
    """
    tests = [_term(term) for term in text.split(" AND ")] if text else []
    return lambda job: all(test(job) for test in tests)


def page(jobs: list[Document], size: int, token: str) -> tuple[list[Document], str]:
    """Some of the jobs, newest first, and the token of the next page."""
    begin = int(base64.b64decode(token)) if token else 0
    end = begin + min(size or _PAGE, _PAGE_MAX)
    ordered = sorted(jobs, key=lambda job: (job["created_at"], job["run_id"]), reverse=True)
    return ordered[begin:end], base64.b64encode(str(end).encode()).decode() if end < len(ordered) else ""


def _term(text: str) -> Test:
    found = _TERM.fullmatch(text)
    if found is None:
        refuse(400, f"Invalid filter: '{text}'")
    field, operator, value = found["field"], found["operator"], found["value"]
    if field.startswith("labels."):
        return _label(field.removeprefix("labels."), operator, value)
    if field not in _READ or operator == ":":
        refuse(400, f"Invalid filter: field {field} cannot be compared with {operator}")
    return lambda job: (_READ[field](job) == value) is (operator == "=")


def _label(key: str, operator: str, value: str | None) -> Test:
    if operator == ":":
        return lambda job: key in job["body"].get("labels", {})
    if operator == "!=":
        refuse(400, "Invalid filter: labels support equality and presence")
    return lambda job: job["body"].get("labels", {}).get(key) == value
