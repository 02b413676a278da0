"""Metrics over a real socket."""

import socket
from urllib.request import urlopen

import pytest

from trainer_daemon.errors import PermanentError
from trainer_daemon.telemetry.metrics import Metrics


def free_address() -> str:
    """An address nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def test_metrics_can_be_scraped() -> None:
    """With what was counted since the start."""
    metrics, address = Metrics(["churn"]), free_address()
    with metrics.served(address):
        metrics.count("drop_missed_by_notification", "warning", "churn")
        with urlopen(f"http://{address}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    line = 'trainer_log_events_total{event="drop_missed_by_notification",model="churn",severity="warning"} 1.0'
    assert line in text.splitlines()


def test_address_that_is_taken_is_named() -> None:
    """One sentence with the key, and what to do."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with (
            pytest.raises(PermanentError, match=f'http.listen is "{address}", which cannot be used'),
            Metrics([]).served(address),
        ):
            pytest.fail("it was served")


def test_nothing_is_served_unless_asked_for() -> None:
    """An empty address opens no socket."""
    with Metrics([]).served(""):
        pass
