"""The runbook and the code speak of the same log events."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SEVERITIES = {"info", "warning", "error", "exception"}


def logged_events() -> Iterator[tuple[str, str]]:
    """Name and severity of every log call with a constant name; debug lines need no entry."""
    for path in (ROOT / "trainer_daemon").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SEVERITIES:
                logger = ast.unparse(node.func.value)
                if logger.split(".")[-1].lstrip("_").startswith("log") and node.args and isinstance(node.args[0], ast.Constant):
                    yield str(node.args[0].value), node.func.attr


def test_every_log_event_is_in_the_runbook() -> None:
    """By its constant name; what needs a person has a section of its own."""
    runbook = (ROOT / "docs" / "runbook.md").read_text()
    headings = " ".join(line for line in runbook.splitlines() if line.startswith("## "))
    events = set(logged_events())
    assert len(events) > 20
    assert [name for name, _ in events if f"`{name}`" not in runbook and name not in headings] == []
    assert [name for name, severity in events if severity != "info" and name not in headings] == []


def test_log_events_are_a_noun_and_a_past_participle() -> None:
    """Constant names, so that a filter written today works tomorrow."""
    assert [name for name, _ in logged_events() if not name.replace("_", "").isalpha() or "_" not in name] == []


def test_runbook_has_no_entry_for_an_event_that_is_gone() -> None:
    """Entries for nothing mislead at night. An alert that is made of no event has its own."""
    sources = "\n".join(path.read_text() for path in (ROOT / "trainer_daemon").rglob("*.py"))
    alerts = (ROOT / "k8s" / "monitoring" / "rules.yaml").read_text()
    runbook = (ROOT / "docs" / "runbook.md").read_text()
    names = [name for line in runbook.splitlines() if line.startswith("## ") for name in line[3:].split(", ")]
    assert [name for name in names if f'"{name}"' not in sources and f"- alert: {name}\n" not in alerts] == []
