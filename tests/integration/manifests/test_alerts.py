"""The alerts are valid, fire when they should and not otherwise, and lead to the runbook."""

import json
import re
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client import generate_latest

from tests.builders import MODEL, NOW
from tests.integration.ledger_story import a_whole_past
from tests.integration.manifests.tools import K8S, MONITORING, ROOT, only, run, tool
from tests.unit.test_runbook import logged_events
from trainer_daemon.adapters.ledger.statistics import Statistics
from trainer_daemon.telemetry.ledger_metrics import DURATION_S, LedgerMetrics
from trainer_daemon.telemetry.metrics import Metrics
from trainer_daemon.telemetry.outbox_metrics import OutboxMetrics
from trainer_daemon.telemetry.vitals import Vitals
from trainer_daemon.telemetry.vitals_metrics import VitalsMetrics

CASES = Path(__file__).with_name("alerts_cases.yaml")
ALERTMANAGER = K8S / "monitoring" / "alertmanager.yaml"
METRIC = re.compile(r"\btrainer_[a-z0-9_]+")
EVENT = re.compile(r'event(=|!=|=~|!~)"([^"]*)"')


def groups() -> list[dict[str, Any]]:
    """The groups of rules, as Prometheus itself reads them."""
    found: list[dict[str, Any]] = only(MONITORING, "PrometheusRule")["spec"]["groups"]
    return found


def alerts() -> list[dict[str, Any]]:
    """Every alert."""
    return [rule for group in groups() for rule in group["rules"] if "alert" in rule]


def dashboard() -> dict[str, Any]:
    """The dashboard."""
    found: dict[str, Any] = json.loads((K8S / "monitoring" / "dashboard.json").read_text())
    return found


def expressions() -> list[str]:
    """Everything that is asked of Prometheus."""
    rules = [rule["expr"] for group in groups() for rule in group["rules"]]
    return [*rules, *(target["expr"] for panel in dashboard()["panels"] for target in panel["targets"])]


def runbook() -> str:
    """The runbook."""
    return (ROOT / "docs" / "runbook.md").read_text()


@cache
def exported() -> set[str]:
    """Every metric of the daemon's own, as it is called in a scrape, when everything has happened once."""
    with TemporaryDirectory() as folder:
        story = a_whole_past(Path(folder) / "ledger.db")
        with closing(story.ledger), closing(Statistics(story.url, (MODEL,), DURATION_S)) as statistics:
            metrics, vitals = Metrics([MODEL]), Vitals()
            vitals.part("ledger").answered()
            metrics.called("mlflow", "champion", 0.1, error="temporary")
            metrics.stream("s", alive=True)
            metrics.expect_endpoints(["ops"])
            outbox = OutboxMetrics(story.ledger.outbox(), ["ops"], lambda: NOW)
            for collector in (LedgerMetrics(statistics, lambda: NOW), VitalsMetrics(vitals), outbox):
                metrics.registry.register(collector)
            lines = generate_latest(metrics.registry).decode().splitlines()
    names = {re.split(r"[{ ]", line)[0] for line in lines if line.startswith("trainer_")}
    return {name for name in names if not name.endswith("_created")}


def events_named_in(expression: str) -> set[str]:
    """The log events that an expression selects or leaves out; alternatives in parentheses are multiplied out."""
    named: set[str] = set()
    for _, pattern in EVENT.findall(expression):
        for alternative in re.split(r"\|(?![^(]*\))", pattern):
            head, _, rest = alternative.partition("(")
            named |= {head + tail for tail in rest.rstrip(")").split("|")}
    return named


@pytest.fixture
def rules_file(tmp_path: Path) -> Path:
    """The rules as a file of Prometheus."""
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": groups()}))
    return path


def test_rules_are_valid(rules_file: Path) -> None:
    """As Prometheus itself sees them."""
    run(tool("promtool"), "check", "rules", rules_file)


def test_alerts_fire_when_they_should(rules_file: Path) -> None:
    """And not otherwise: cases with series over time are in a file beside this one."""
    cases = rules_file.with_name("cases.yaml")
    cases.write_text(CASES.read_text())
    assert "SUCCESS" in run(tool("promtool"), "test", "rules", cases).stdout


def test_every_alert_has_a_case() -> None:
    """An alert that never fired in a test may never fire."""
    tests = yaml.safe_load(CASES.read_text())["tests"]
    fired = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert fired == {alert["alert"] for alert in alerts()}


def test_every_alert_leads_to_its_entry_in_the_runbook() -> None:
    """The anchor of a heading; where the event is a variable, every event that it may stand for has one."""
    headings = {line.removeprefix("## ").lower() for line in runbook().splitlines() if line.startswith("## ")}
    errors = {event for event, severity in logged_events() if severity in {"error", "exception"}}
    for alert in alerts():
        page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
        assert page == "docs/runbook.md"
        assert ({anchor} if anchor != "{{ $labels.event }}" else errors | {"library_logged"}) <= headings, alert["alert"]


def test_every_alert_is_explained_with_what_to_do() -> None:
    """What it means, how to confirm it, and what to do, with something to type: at night nobody finds that out."""
    entries = dict(re.findall(r"^## (.+)\n((?:(?!^## ).*\n?)*)", runbook(), re.MULTILINE))
    for alert in alerts():
        anchor = alert["annotations"]["runbook_url"].partition("#")[2]
        if anchor == "{{ $labels.event }}":
            continue
        [entry] = [" ".join(text.split()) for heading, text in entries.items() if heading.lower() == anchor]
        assert "Confirm:" in entry, alert["alert"]
        assert "What to do:" in entry, alert["alert"]
        assert re.search(r"`(trainer-daemon|kubectl|curl|gcloud|mlflow)[^`]*`", entry), alert["alert"]


def test_every_event_that_is_asked_for_exists() -> None:
    """A misspelt one would be silent for ever."""
    known = {event for event, _ in logged_events()}
    named = {name for expression in expressions() for name in events_named_in(expression)}
    assert len(named) > 10
    assert named - known == set()


def test_only_metrics_that_exist_are_asked_for() -> None:
    """What the daemon exports, and what the rules record."""
    recorded = {rule["record"] for group in groups() for rule in group["rules"] if "record" in rule}
    for expression in expressions():
        asked = set(re.findall(r"\btrainer[a-z0-9_:]+", EVENT.sub("", expression)))
        assert asked, expression
        assert asked <= recorded | exported(), expression


def test_every_metric_is_in_the_runbook() -> None:
    """And nothing else is: the table of metrics is complete, and true."""
    described = {name for line in runbook().splitlines() if line.startswith("| `trainer_") for name in METRIC.findall(line)}
    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in exported()}
    assert described == families


def test_every_alert_on_a_metric_has_its_own_entry() -> None:
    """One that is made of log events leads to the event's entry; any other is named in the runbook as it is on the pager."""
    own = {
        alert["alert"] for alert in alerts() if not events_named_in(alert["expr"]) and "trainer_log_events" not in alert["expr"]
    }
    assert len(own) > 5
    for alert in alerts():
        if alert["alert"] in own:
            assert alert["annotations"]["runbook_url"] == f"docs/runbook.md#{alert['alert'].lower()}"
            assert f"## {alert['alert']}\n" in runbook()


def test_alertmanager_takes_the_example() -> None:
    """As Alertmanager itself sees it."""
    said = run(tool("amtool"), "check-config", ALERTMANAGER).stdout
    assert "SUCCESS" in said
    assert "2 inhibit rules" in said


def test_every_alert_reaches_somebody() -> None:
    """What is critical wakes somebody up, the rest is read in the morning; `amtool` routes as Alertmanager does."""
    receivers = {"critical": "trainer-on-call", "warning": "trainer-team"}
    assert {alert["labels"]["severity"] for alert in alerts()} == set(receivers)
    for severity, receiver in receivers.items():
        labels = ("alertname=Any", f"severity={severity}")
        routed = run(tool("amtool"), "config", "routes", "test", f"--config.file={ALERTMANAGER}", *labels).stdout
        assert routed.strip() == receiver


def test_alerts_that_keep_others_quiet_exist() -> None:
    """One that is misspelt would be silent, and keep nothing quiet."""
    text = ALERTMANAGER.read_text()
    named = set(re.findall(r"Trainer\w+", text))
    assert len(named) > 3
    assert named <= {alert["alert"] for alert in alerts()}


def test_every_panel_shows_something_else() -> None:
    """Each has a title, a place of its own, and asks the chosen Prometheus."""
    panels = dashboard()["panels"]
    assert len({panel["title"] for panel in panels}) == len({panel["id"] for panel in panels}) == len(panels)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)
    assert {panel["datasource"]["uid"] for panel in panels} == {"${datasource}"}


def test_expressions_of_the_dashboard_are_valid(tmp_path: Path) -> None:
    """Prometheus parses them, with Grafana's variables filled in."""
    filled = [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
    texts = [expression.replace("$__rate_interval", "5m").replace("$model", ".*") for expression in filled]
    rules = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(texts)]
    path = tmp_path / "panels.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    run(tool("promtool"), "check", "rules", path)
