"""What is counted of what is logged, and how it looks to Prometheus."""

import io
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from trainer_daemon.telemetry.logging import configure_logging
from trainer_daemon.telemetry.metrics import WATCHED, WATCHED_STREAM, Metrics


def sample(metrics: Metrics, **labels: str) -> float | None:
    """The value of the counter with these labels."""
    return metrics.registry.get_sample_value("trainer_log_events_total", labels)


def test_first_warning_is_an_increase() -> None:
    """What alerts are made of is there as 0 from the start, for every model."""
    metrics = Metrics(["churn", "upsell"])
    for event, severity in WATCHED.items():
        for model in ("churn", "upsell"):
            assert sample(metrics, event=event, severity=severity, model=model) == 0
    for event, severity in WATCHED_STREAM.items():
        assert sample(metrics, event=event, severity=severity, model="") == 0


def test_event_is_counted_by_name_severity_and_model() -> None:
    """Also an exception, as an error."""
    metrics = Metrics([])
    log = configure_logging(level="info", format="json", stream=io.StringIO(), count=metrics.count)
    for _ in range(2):
        log.bind(model="churn").warning("run_lost", run="churn-1")
    try:
        raise ValueError  # noqa: TRY301 - an exception to log
    except ValueError:
        log.exception("loop_crashed")
    assert sample(metrics, event="run_lost", severity="warning", model="churn") == 2
    assert sample(metrics, event="loop_crashed", severity="error", model="") == 1


@pytest.mark.parametrize(("level", "written"), [("debug", 3), ("info", 2), ("warning", 1), ("error", 0)])
def test_what_is_not_written_is_counted_all_the_same(level: str, written: int) -> None:
    """From severity info on: alerts do not depend on what is read."""
    metrics, stream = Metrics([]), io.StringIO()
    log = configure_logging(level=level, format="json", stream=stream, count=metrics.count)
    log.debug("drop_seen")
    log.info("run_queued")
    log.warning("run_lost")
    assert len(stream.getvalue().splitlines()) == written
    assert sample(metrics, event="run_queued", severity="info", model="") == 1
    assert sample(metrics, event="run_lost", severity="warning", model="") == 1
    assert sample(metrics, event="drop_seen", severity="debug", model="") is None


def test_exposition_has_help_and_type() -> None:
    """As Prometheus wants it."""
    text = generate_latest(Metrics(["churn"]).registry).decode()
    assert "# TYPE trainer_log_events_total counter" in text
    assert 'trainer_log_events_total{event="run_lost",model="churn",severity="warning"} 0.0' in text


def test_watched_events_exist() -> None:
    """Under the names that the runbook explains."""
    runbook = (Path(__file__).resolve().parents[2] / "docs" / "runbook.md").read_text()
    headings = {name for line in runbook.splitlines() if line.startswith("## ") for name in line[3:].split(", ")}
    assert headings >= {*WATCHED, *WATCHED_STREAM}
