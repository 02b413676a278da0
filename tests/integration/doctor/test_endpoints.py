"""What `doctor` finds of the endpoints that are notified."""

import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from tests.builders import NOW, a_drop
from tests.integration.ledger_story import Storyteller
from tests.integration.receiver import SECRET, Receiver, answer, is_genuine, receiving
from trainer_daemon.adapters.ledger import Notices, Waiting
from trainer_daemon.config import Settings, check_settings
from trainer_daemon.doctor.endpoints import endpoint_probes, judge_waiting
from trainer_daemon.policy.checks import Check, Status
from trainer_daemon.probing import examine


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Takes everything, unless it is told otherwise."""
    with receiving() as receiver:
        yield receiver


def settings_in(folder: Path, url: str) -> Settings:
    """With one endpoint."""
    (folder / "secret").write_text(SECRET)
    endpoint = {"name": "ops", "url": url, "secret_file": "secret", "timeout_s": 60.0}
    table = {"ledger": "sqlite:///ledger.db", "models": [{"name": "churn", "bucket": "drops"}], "notifications": [endpoint]}
    return check_settings(table, {}, folder=folder)


def checked(settings: Settings, *, notify: bool = False) -> Check:
    """The one check."""
    (check,) = examine(list(endpoint_probes(settings, notify=notify, clock=lambda: NOW)))
    assert check.name == "notifications ops"
    return check


def test_endpoint_is_reached_and_told_nothing_unless_somebody_asks(tmp_path: Path, receiver: Receiver) -> None:
    """A test is a signed CloudEvent of a type of its own."""
    settings = settings_in(tmp_path, receiver.url)
    check = checked(settings)
    assert (check.status, check.found, receiver.received) == (Status.OK, "it can be reached, nothing waits for it", [])
    assert checked(settings, notify=True).found == "it took a test, nothing waits for it"
    (request,) = receiver.received
    assert request.document["type"] == "trainer-daemon.notification_tested"
    assert is_genuine()(request.headers, request.body, SECRET.encode(), tolerance_s=1e10)


def test_what_is_wrong_is_told_without_the_address(tmp_path: Path, receiver: Receiver) -> None:
    """Nobody listens, no secret, a refusal."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        nobody = f"http://127.0.0.1:{probe.getsockname()[1]}/hidden"
    unreachable = checked(settings_in(tmp_path, nobody))
    assert (unreachable.status, unreachable.found) == (Status.FAILED, "it does not answer: [Errno 111] Connection refused")
    settings = settings_in(tmp_path, receiver.url)
    receiver.script = [answer(404, "no such hook")]
    refused = checked(settings, notify=True)
    assert (refused.status, refused.found) == (Status.FAILED, "it answered 404 no such hook")
    (tmp_path / "secret").write_text("short")
    secretless = checked(settings)
    assert secretless.status is Status.FAILED
    assert "at least 16 bytes" in f"{secretless.found} {secretless.fix}"
    assert all("hidden" not in f"{check.found} {check.fix}" for check in (unreachable, refused, secretless))


def test_what_has_waited_for_long_is_a_warning(tmp_path: Path, receiver: Receiver) -> None:
    """Read from the ledger, which may be in use."""
    settings = settings_in(tmp_path, receiver.url)
    story = Storyteller(tmp_path / "ledger.db")
    with closing(story.ledger):
        story.ledger.notices = Notices([endpoint.addressee for endpoint in settings.notifications])
        story.judged(a_drop(), "1", log_loss=0.5)
        assert checked(settings).found.startswith("it can be reached, 1 wait for it")
    late = judge_waiting(Waiting(endpoint="ops", number=3, since=NOW, error="it answered 500"), NOW + timedelta(hours=2), "x")
    assert (late.status, late.found) == (Status.WARNING, "x, 3 wait for it, the oldest for 120 min")
    assert "it answered 500" in late.fix
