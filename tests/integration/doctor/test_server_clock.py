from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from tests.integration.doctor.servers import server
from trainer_daemon.adapters.server_clock import lead_s
from trainer_daemon.config import check_settings
from trainer_daemon.doctor.clocks import clock_probes
from trainer_daemon.errors import PermanentError, TemporaryError
from trainer_daemon.policy.checks import Check, Status
from trainer_daemon.probing import examine

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def at_now() -> datetime:
    """A clock that stands still, so that no slow machine moves it."""
    return NOW


def dated(moment: datetime) -> dict[str, str]:
    """The header of a server at that moment."""
    return {"Date": format_datetime(moment, usegmt=True)}


@pytest.mark.parametrize("status", [200, 401, 404, 503])
@pytest.mark.parametrize("behind_s", [0, 120, -120])
def test_lead_is_the_distance_to_the_date_of_any_answer(status: int, behind_s: int) -> None:
    """Also of one that refuses; whole seconds are counted from their middle."""
    with server(status, dated(NOW - timedelta(seconds=behind_s))) as url:
        assert lead_s(url, at_now, timeout_s=240) == behind_s - 0.5


def test_silent_servers_are_no_clocks() -> None:
    """One that does not say the time, and one that is not there."""
    with server(200, {}) as url, pytest.raises(PermanentError, match="does not say what time it is"):
        lead_s(url, at_now, timeout_s=240)
    with pytest.raises(TemporaryError, match="does not answer"):
        lead_s(url, at_now, timeout_s=240)


def checked(url: str, clock: Callable[[], datetime] = at_now) -> list[Check]:
    """What comes out for MLflow and a bucket at the same place."""
    models = [{"name": "churn", "bucket": "gs://drops"}]
    settings = check_settings({"models": models, "mlflow": {"tracking_uri": url}}, {}, folder=Path("/"))
    return list(examine(clock_probes(settings, clock, {"STORAGE_EMULATOR_HOST": url})))


def test_every_server_is_a_witness() -> None:
    """MLflow and the bucket each have a row."""
    with server(200, dated(NOW - timedelta(seconds=200))) as url:
        checks = checked(url)
    assert [(check.name, check.status) for check in checks] == [("clock", Status.FAILED)] * 2
    assert checks[0].fix == "set this machine's clock: sudo timedatectl set-ntp true"
    assert [check.status for check in checked(url)] == [Status.SKIPPED] * 2
