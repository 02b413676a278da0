"""Real couriers and a real ledger against a real server that does everything wrong."""

import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event

from tests.acceptance.harness import wait_until
from tests.builders import a_drop
from tests.emulators.certificates import issue
from tests.integration.ledger_story import Storyteller
from tests.integration.receiver import SECRET, Receiver, answer, close_at_once, is_genuine, receiving
from trainer_daemon.adapters.ledger import Letter, Notices, Outbox
from trainer_daemon.config_notifications import NotificationSettings
from trainer_daemon.courier import KEEP, LOOK_S, Courier
from trainer_daemon.endpoint import Endpoint
from trainer_daemon.policy.runs import RunState
from trainer_daemon.telemetry.logging import configure_logging


@dataclass
class Time:
    """The real one as the test begins; then only what the test skips passes."""

    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    skipped: timedelta = field(default_factory=timedelta)

    def now(self) -> datetime:
        """In UTC."""
        return self.began + self.skipped

    def skip(self, seconds: float) -> None:
        """As if so much had passed."""
        self.skipped += timedelta(seconds=seconds)


@dataclass
class Office:
    """A ledger, and couriers whose rounds a test calls itself."""

    story: Storyteller
    folder: Path
    time: Time = field(default_factory=Time)
    log: io.StringIO = field(default_factory=io.StringIO)
    receptions: list[str] = field(default_factory=list)
    settings: list[NotificationSettings] = field(default_factory=list)

    def courier(self, url: str, **changes: Any) -> Courier:  # noqa: ANN401 - any key
        """One for an endpoint, which the ledger writes for from now on; of two for the same one the later one counts."""
        secret = self.folder / "secret"
        secret.write_text(f"{SECRET}\n")
        signed = {} if changes.get("format") == "slack" else {"secret_file": str(secret)}
        settings = NotificationSettings(**{"name": "ops", "url": url, "timeout_s": 60.0, **signed, **changes})
        self.settings = [*(known for known in self.settings if known.name != settings.name), settings]
        self.story.ledger.notices = Notices([known.addressee for known in self.settings], lambda run: f"https://kf/{run.name}")
        return Courier(
            Endpoint(settings, "production"),
            self.story.ledger.outbox(),
            ["ops", "chat"],
            clock=self.time.now,
            log=configure_logging(level="debug", format="json", stream=self.log),
            on_reception=self.receptions.append,
        )

    def promote(self, period: str = "2025-03") -> None:
        """Something happens."""
        self.story.judged(a_drop(period), period, log_loss=0.5)

    def waiting(self, endpoint: str = "ops") -> int:
        """How many letters wait."""
        return self.story.ledger.outbox().waiting([endpoint])[0].number

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Log lines of one event."""
        return [line for line in map(json.loads, self.log.getvalue().splitlines()) if line["message"] == event]


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """Nothing has happened."""
    story = Storyteller(tmp_path / "ledger.db")
    with closing(story.ledger):
        yield Office(story, tmp_path)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Takes everything, unless it is told otherwise."""
    with receiving() as receiver:
        yield receiver


def test_event_arrives_signed_and_is_what_the_library_of_a_receiver_reads(office: Office, receiver: Receiver) -> None:
    """CloudEvents 1.0, structured; the signature is the one that the documentation verifies, with its own code."""
    courier = office.courier(receiver.url)
    office.promote()
    courier._work()
    (request,) = receiver.received
    assert request.path == "/hook?token=hidden"
    assert request.headers["content-type"] == "application/cloudevents+json"
    event = from_structured_event(HTTPMessage(headers=dict(request.headers), body=request.body))
    (run,) = [run for run in [office.story.ledger.find_run(request.document["data"]["key"])] if run]
    assert event.get_attributes() == {
        "specversion": "1.0",
        "id": f"candidate_promoted:{run.name}",
        "source": "/trainer-daemon/production/churn",
        "type": "trainer-daemon.candidate_promoted",
        "subject": run.name,
        "time": run.updated_at,
        "datacontenttype": "application/json",
    }
    genuine = is_genuine()
    assert genuine(request.headers, request.body, SECRET.encode())
    assert not genuine(request.headers, request.body.replace(b"PROMOTED", b"REJECTED"), SECRET.encode())
    assert not genuine(request.headers, request.body, b"another secret of sixteen bytes")
    assert not genuine({**request.headers, "webhook-id": "candidate_promoted:other"}, request.body, SECRET.encode())
    assert not genuine({**request.headers, "webhook-timestamp": str(int(time.time()) - 60)}, request.body, SECRET.encode())
    assert not genuine(request.headers, request.body, SECRET.encode(), tolerance_s=-1)
    assert not genuine({}, request.body, SECRET.encode())
    assert office.waiting() == 0
    assert [line["notification"] for line in office.lines("notification_delivered")] == [request.id]


def test_endpoint_that_does_everything_wrong_gets_the_same_event_in_the_end(office: Office, receiver: Receiver) -> None:
    """Errors, a hang, a closed connection, a redirect, an answer that never ends, a refused credential: then it takes it."""
    # who is answered may take his time
    courier, impatient = office.courier(receiver.url), office.courier(receiver.url, timeout_s=0.3)
    endless = [receiver.hang, receiver.trickle_headers]
    wrong = [answer(500, "oops"), endless[0], close_at_once, endless[1], answer(403), answer(503)]
    receiver.script = [*wrong, answer(302, Location=receiver.url)]
    office.promote()
    for attempts in range(1, len(wrong) + 2):
        (impatient if receiver.script[0] in endless else courier)._work()
        assert len(receiver.received) == attempts
        assert office.waiting() == 1
        courier._work()
        assert len(receiver.received) == attempts, "it is left alone for a while"
        office.time.skip(900)
    courier._work()
    assert office.waiting() == 0
    assert len({request.body for request in receiver.received}) == len(set(receiver.ids)) == 1
    assert len(receiver.received) == len(wrong) + 2
    assert office.receptions == ["failed"] * (len(wrong) + 1) + ["delivered"]
    reasons = [line["reason"] for line in office.lines("notification_failed")]
    assert reasons[0] == "it answered 500 oops"
    assert reasons[1] == reasons[3] == "it does not answer within 0.3 s"
    assert reasons[-1] == "it answered 302"


def test_answer_counts_when_its_status_is_there(office: Office, receiver: Receiver) -> None:
    """Nobody waits for the end of a story."""
    courier = office.courier(receiver.url)
    receiver.script = [receiver.trickle_body]
    office.promote()
    courier._work()
    assert office.waiting() == 0


@pytest.mark.parametrize("status", [400, 410, 422])
def test_what_would_never_be_taken_is_given_up_and_the_next_is_sent(office: Office, receiver: Receiver, status: int) -> None:
    """A person is told: it is an error."""
    courier = office.courier(receiver.url)
    receiver.script = [answer(status, "no")]
    office.promote("2025-03")
    office.promote("2025-04")
    courier._work()
    courier._work()
    assert [request.document["data"]["period"] for request in receiver.received] == ["2025-03", "2025-04"]
    (line,) = office.lines("notification_refused")
    assert (line["severity"], line["reason"], line["endpoint"]) == ("ERROR", f"it answered {status} no", "ops")
    assert office.story.ledger.outbox().waiting(["ops"])[0].refused == 1


def test_endpoint_is_left_alone_for_as_long_as_it_wants(office: Office, receiver: Receiver) -> None:
    """Retry-After, in seconds and as a date by its own clock."""
    courier = office.courier(receiver.url)
    dated = {"Date": "Thu, 01 Jan 2026 00:00:00 GMT", "Retry_After": "Thu, 01 Jan 2026 00:02:00 GMT"}
    receiver.script = [answer(429, Retry_After="120"), answer(503, **dated)]
    office.promote()
    for number in (1, 2):
        courier._work()
        office.time.skip(100)
        courier._work()
        assert len(receiver.received) == number
        office.time.skip(30)
    courier._work()
    assert office.waiting() == 0


def test_events_of_a_model_arrive_in_order(office: Office, receiver: Receiver) -> None:
    """While the first one waits, the second one does."""
    courier = office.courier(receiver.url)
    receiver.script = [answer(500)]
    for period in ("2025-03", "2025-04", "2025-05"):
        office.promote(period)
    courier._work()
    courier._work()
    office.time.skip(10)
    for _ in range(3):
        courier._work()
    periods = [request.document["data"]["period"] for request in receiver.received]
    assert periods == ["2025-03", "2025-03", "2025-04", "2025-05"]


def test_event_that_was_sent_and_not_marked_comes_again_with_its_id(office: Office, receiver: Receiver) -> None:
    """A courier that dies in between: the next one waits until the time is over that the letter was taken for."""
    courier = office.courier(receiver.url)
    office.promote()

    class Mortal(Outbox):
        def delivered(self, letter: Letter, now: datetime) -> None:
            raise InterruptedError(letter, now)

    courier._outbox = Mortal(office.story.ledger._engine, office.story.ledger._reads)
    with pytest.raises(InterruptedError):
        courier._work()
    second = office.courier(receiver.url)
    second._work()
    assert len(receiver.received) == 1
    office.time.skip(90)
    second._work()
    first, again = receiver.received
    assert (first.id, first.body) == (again.id, again.body)
    assert office.waiting() == 0


def test_redirects_lead_nowhere(office: Office, receiver: Receiver) -> None:
    """What is sent to one place is not sent to another, which would get it with its signature."""
    courier = office.courier(receiver.url)
    office.promote()
    with receiving() as other:
        for status in (301, 302, 303, 307, 308):
            receiver.script.append(answer(status, Location=other.url))
            courier._work()
            office.time.skip(900)
        assert other.received == []
    assert office.waiting() == 1


def test_proxies_are_not_asked(office: Office, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment says."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    courier = office.courier(receiver.url)
    office.promote()
    courier._work()
    assert office.waiting() == 0


def test_certificate_is_checked(office: Office, tmp_path: Path) -> None:
    """One that nobody knows gets nothing; one of the configured authority does."""
    certificates = issue(tmp_path)
    with receiving(certificate=(certificates.certificate, certificates.key)) as receiver:
        courier = office.courier(receiver.url)
        office.promote()
        courier._work()
        assert receiver.received == []
        (line,) = office.lines("notification_failed")
        assert "CERTIFICATE_VERIFY_FAILED" in line["reason"]
        knowing = office.courier(receiver.url, ca_file=str(certificates.authority))
        office.time.skip(10)
        knowing._work()
        assert len(receiver.received) == 1
    assert office.waiting() == 0


def test_handshake_that_never_ends_is_ended(office: Office) -> None:
    """Somebody listens, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        courier = office.courier(f"https://127.0.0.1:{silent.getsockname()[1]}/", timeout_s=0.3)
        office.promote()
        courier._work()
    assert [line["reason"] for line in office.lines("notification_failed")] == ["it does not answer within 0.3 s"]


def test_secret_may_come_late_and_change(office: Office, receiver: Receiver) -> None:
    """Without one nothing is sent; the file is read every time; two lines are two signatures."""
    courier = office.courier(receiver.url)
    secret = office.folder / "secret"
    secret.unlink()
    office.promote()
    courier._work()
    assert receiver.received == []
    assert "No such file" in office.lines("notification_failed")[0]["reason"]
    secret.write_text(f"{SECRET}\nthe next secret, long enough\n")
    office.time.skip(10)
    courier._work()
    (request,) = receiver.received
    genuine = is_genuine()
    assert genuine(request.headers, request.body, SECRET.encode())
    assert genuine(request.headers, request.body, b"the next secret, long enough")


def test_secrets_are_never_logged(office: Office, receiver: Receiver) -> None:
    """Neither the one that signs nor the address, whatever goes wrong."""
    courier, impatient = office.courier(receiver.url), office.courier(receiver.url, timeout_s=0.3)
    told = "Cannot POST /hook?token=hidden, there is no /hook here (token=hidden)"
    receiver.script = [answer(500, told), close_at_once, receiver.hang, answer(400, told), answer(204)]
    office.promote("2025-03")
    office.promote("2025-04")
    for _ in range(6):
        (impatient if receiver.hang in receiver.script[:1] else courier)._work()
        office.time.skip(900)
    assert office.waiting() == 0
    assert len(office.lines("notification_failed")) == 3
    assert office.lines("notification_refused")[0]["reason"] == "it answered 400 Cannot POST ***, there is no *** here (***)"
    for hidden in (SECRET, "hidden", "/hook", repr(receiver.received[0].headers["webhook-signature"])):
        assert hidden not in office.log.getvalue()
    assert "hidden" not in repr(office.settings)


def test_chat_gets_a_sentence_with_a_link(office: Office, receiver: Receiver) -> None:
    """And no signature, which it would not look at."""
    courier = office.courier(receiver.url, format="slack")
    office.story.ended(a_drop("2025-03"), RunState.QUARANTINED, "line 501 has 3 fields, the header <5>")
    courier._work()
    (request,) = receiver.received
    assert request.headers["content-type"] == "application/json"
    assert "webhook-signature" not in request.headers
    text = request.document["text"]
    assert text.startswith("churn: drop churn_data_2025_03.csv cannot be trained")
    assert "the header &lt;5&gt; <https://kf/churn-2025-03-" in text
    assert text.endswith("|The run>")


@contextmanager
def running(*couriers: Courier) -> Iterator[None]:
    """Within it their loops run, as in the daemon."""
    for courier in couriers:
        courier.loop.start()
    yield
    for courier in couriers:
        courier.close(0.5)


def test_one_endpoint_that_hangs_delays_no_other(office: Office, receiver: Receiver) -> None:
    """Each has a thread; a stop breaks off what hangs, in no time, and it is made again later."""
    with receiving() as other:
        receiver.always = receiver.hang
        hanging = office.courier(receiver.url, timeout_s=60.0)
        quick = office.courier(other.url, name="chat")
        office.promote("2025-03")
        with running(hanging, quick):
            wait_until(lambda: receiver.received and other.received, "both are told")
            office.promote("2025-04")
            quick.loop.wake()
            wait_until(lambda: office.waiting("chat") == 0, "the other one is told everything")
            assert (len(other.received), len(receiver.received), office.waiting("ops")) == (2, 1, 2)
            began = time.monotonic()
        assert time.monotonic() - began < 50
        wait_until(lambda: not any(courier.loop.alive for courier in (hanging, quick)), "both have ended")
    assert office.waiting("ops") == 2


def test_new_letter_is_delivered_as_soon_as_it_is_written(office: Office, receiver: Receiver) -> None:
    """Who writes it wakes the courier, which otherwise rests for a quarter of a minute."""
    courier = office.courier(receiver.url)
    office.story.ledger.notices.on_written = courier.loop.wake
    with running(courier):
        took_s = []
        for number, period in enumerate(("2025-03", "2025-04", "2025-05"), start=1):
            wait_until(lambda: courier.loop.idle, "nothing is left to do")
            began = time.monotonic()
            office.promote(period)
            wait_until(lambda: len(receiver.received) == number, "it is told")  # noqa: B023 - at once
            took_s.append(time.monotonic() - began)
        assert min(took_s) < LOOK_S


def test_outbox_is_pruned_now_and_then(office: Office, receiver: Receiver) -> None:
    """By whoever delivers, at its start and once an hour."""
    courier = office.courier(receiver.url)
    office.promote()
    courier._work()
    office.time.skip((KEEP + timedelta(days=1)).total_seconds())
    courier._work()
    courier._prune_at = 0.0
    courier._work()
    assert office.story.ledger.outbox().prune(office.time.now(), []) == 0
    assert threading.active_count() < 50
