import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import structlog

from tests.builders import NOW
from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.announcements import Announcements
from trainer_daemon.inbox import Inbox, Outlet
from trainer_daemon.policy.events import Event
from trainer_daemon.policy.notifications import Message, Route
from trainer_daemon.policy.objects import place_of

SUBSCRIPTION = "projects/demo/subscriptions/trainer"


class Mail:
    """An inbox of two models, `churn` under `in/` and `all` in the whole bucket, on a real ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.woken: list[str] = []
        self.log = structlog.testing.CapturingLogger()
        self.now = NOW
        self.announcements = {name: Announcements(timedelta(0), self.clock) for name in ("churn", "all")}
        places = {"churn": ("gs://drops/in", "churn_data_{period}.csv"), "all": ("gs://drops", "all_{period}.csv")}
        outlets = [
            Outlet(
                route=Route(model=name, place=place_of(*place)),
                announcements=self.announcements[name],
                on_recorded=lambda name=name: self.woken.append(name),  # type: ignore[misc] # a default is no argument
            )
            for name, place in places.items()
        ]
        log = structlog.wrap_logger(self.log, processors=[], wrapper_class=structlog.make_filtering_bound_logger(0))
        self.inbox = Inbox(SUBSCRIPTION, outlets, ledger=ledger, clock=self.clock, log=log)

    def clock(self) -> datetime:
        """Now."""
        return self.now

    def logged(self) -> list[tuple[str, str, str]]:
        """Severity, event and model of every line."""
        return [(call.method_name, call.kwargs["event"], call.kwargs.get("model", "")) for call in self.log.calls]

    def pending(self, model: str) -> list[Event]:
        """The events of a model, as they arrived."""
        found = []
        while event := self.ledger.next_pending(model):
            found.append(event)
            self.ledger.settle(event, outcome="seen", why="")
        return found


@pytest.fixture
def mail(ledger_url: str) -> Iterator[Mail]:
    """Nothing has come yet, on each database."""
    with closing(Ledger(ledger_url)) as ledger:
        yield Mail(ledger)


def uploaded(name: str, generation: int = 1, *, content: str = "AAAA", **attributes: str) -> Message:
    """The notification that an object was uploaded."""
    resource: dict[str, Any] = {"name": name, "generation": str(generation), "crc32c": f"{content}AA==", "size": "4"}
    given = {"eventType": "OBJECT_FINALIZE", "bucketId": "drops", "objectId": name, "objectGeneration": str(generation)}
    return Message(
        id=f"{name}-{generation}",
        attributes={**given, "payloadFormat": "JSON_API_V1", **attributes},
        data=json.dumps({**resource, "timeCreated": NOW.isoformat()}).encode(),
        published_at=NOW,
    )


def test_batch_becomes_events_of_the_models_that_it_concerns(mail: Mail) -> None:
    """Each model is woken once, and only when there is something for it."""
    mail.inbox.receive([uploaded("in/churn_data_2025_03.csv"), uploaded("in/churn_data_2025_04.csv")])
    assert mail.woken == ["churn"]
    assert [event.drop.period for event in mail.pending("churn") if event.drop] == ["2025-03", "2025-04"]
    assert mail.pending("all") == []
    assert mail.logged() == [("info", "event_recorded", "churn")] * 2


def test_redelivered_message_records_one_event(mail: Mail) -> None:
    """Within a batch and in a later one; nobody is woken for it again."""
    message = uploaded("all_2025_03.csv")
    mail.inbox.receive([message, message])
    mail.inbox.receive([message])
    assert len(mail.pending("all")) == 1
    assert mail.woken == ["all"]
    assert [name for _, name, _ in mail.logged()] == ["event_recorded", "event_duplicated", "event_duplicated"]


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_newest_generation_is_current_whatever_order_they_come_in(mail: Mail, order: tuple[int, int]) -> None:
    """Together or apart."""
    messages = {generation: uploaded("all_2025_03.csv", generation, content=f"AAA{generation}") for generation in order}
    mail.inbox.receive([messages[generation] for generation in order])
    for generation in order:
        mail.inbox.receive([uploaded("all_2025_04.csv", generation, content=f"AAA{generation}")])
    assert {drop.generation for drop in mail.ledger.newest_drops("all", 9)} == {"2"}
    assert {drop.checksum for drop in mail.ledger.newest_drops("all", 9)} == {"crc32c:AAA2AA==:4"}


def test_drop_that_a_listing_found_first_is_not_missed_once_its_message_comes(mail: Mail) -> None:
    """Also when the message is not new."""
    announcements = mail.announcements["all"]
    mail.inbox.began()
    mail.inbox.receive([uploaded("all_2025_03.csv")])
    (event,) = mail.pending("all")
    announcements.expect(replace(event, occurred_at=NOW + timedelta(seconds=1)))
    mail.inbox.receive([uploaded("all_2025_03.csv")])
    mail.now += timedelta(seconds=60)
    assert announcements.overdue() == ()


def test_foreign_message_is_kept_once_and_never_an_event(mail: Mail) -> None:
    """It belongs to no model when it could be any one's."""
    foreign = uploaded("all_2025_03.csv", bucketId="elsewhere")
    mail.inbox.receive([foreign, uploaded("in/churn_data_2025_13.csv")])
    mail.inbox.receive([foreign, uploaded("in/churn_data_2025_13.csv", 2)])
    assert mail.logged() == [
        ("warning", "event_rejected", ""),
        ("warning", "event_rejected", "churn"),
        ("debug", "event_duplicated", ""),
        ("debug", "event_duplicated", "churn"),
    ]
    assert mail.pending("churn") == mail.pending("all") == []
    assert mail.woken == []


def test_message_of_no_interest_leaves_only_a_debug_line(mail: Mail) -> None:
    """A deletion, or an object that is no drop."""
    mail.inbox.receive([uploaded("all_2025_03.csv", eventType="OBJECT_DELETE"), uploaded("notes.txt")])
    assert mail.logged() == [("debug", "notification_ignored", "")] * 2


def test_inbox_waits_until_every_bucket_was_listed_once(mail: Mail) -> None:
    """One of two does not do."""
    assert not mail.inbox.listed
    mail.ledger.set_baseline("churn", listed=0, now=NOW)
    assert not mail.inbox.listed
    mail.ledger.set_baseline("all", listed=0, now=NOW)
    assert mail.inbox.listed
