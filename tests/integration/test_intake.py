"""Intake against a real ledger and a real bucket service: pages, history, what notifications missed."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import structlog
from google.cloud import storage

from trainer_daemon.adapters.gcs import StorageBucket
from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.announcements import Announcements
from trainer_daemon.errors import TemporaryError
from trainer_daemon.intake import Intake
from trainer_daemon.policy.events import Event, Source
from trainer_daemon.policy.objects import place_of
from trainer_daemon.ports import Bucket, Known, Listed

MODEL = "churn"


class Cut:
    """A bucket whose listing breaks after some pages."""

    def __init__(self, bucket: Bucket, pages: int) -> None:
        self._bucket, self._pages = bucket, pages

    def list_drops(self, known: Known) -> Iterator[Sequence[Listed]]:
        """Some pages, then trouble."""
        for number, page in enumerate(self._bucket.list_drops(known)):
            if number == self._pages:
                message = "the connection broke"
                raise TemporaryError(message)
            yield page


class World:
    """A bucket, a ledger, and a clock that runs with the service's, shifted by a test."""

    def __init__(self, remote: storage.Bucket, client: storage.Client, ledger: Ledger) -> None:
        self.remote, self.ledger = remote, ledger
        self.bucket = StorageBucket(place_of(f"gs://{remote.name}", "churn_data_{period}.csv"), client, page=2)
        self.announcements = Announcements(timedelta(seconds=600), self.clock)
        self.log = structlog.testing.CapturingLogger()
        self.missed: list[datetime] = []
        self.ahead = timedelta(0)

    def clock(self) -> datetime:
        """Now."""
        return datetime.now(UTC) + self.ahead

    def upload(self, *periods: str) -> None:
        """Drops, by what stands in the name."""
        for period in periods:
            self.remote.blob(f"churn_data_{period}.csv").upload_from_string(f"a\n{period}\n")

    def intake(self, start_from: str = "all", bucket: Bucket | None = None) -> Intake:
        """A new process's intake."""
        return Intake(
            model=MODEL,
            bucket=bucket or self.bucket,
            start_from=start_from,
            ledger=self.ledger,
            announcements=self.announcements,
            clock=self.clock,
            log=structlog.wrap_logger(self.log, processors=[], wrapper_class=structlog.make_filtering_bound_logger(0)),
            on_missed=self.missed.append,
        )

    def pending(self) -> dict[str, str]:
        """Of the events in the order of their arrival: period, and why it is to be skipped."""
        found: list[Event] = []
        while event := self.ledger.next_pending(MODEL):
            found.append(event)
            self.ledger.settle(event, outcome="seen", why="")
        return {event.drop.period: event.skip for event in found if event.drop}

    def logged(self, name: str) -> list[dict[str, Any]]:
        """Keys of the log lines of an event."""
        return [call.kwargs for call in self.log.calls if call.kwargs.get("event", call.args[0] if call.args else "") == name]


@pytest.fixture
def world(storage_client: storage.Client, tmp_path: Path) -> Iterator[World]:
    """Nothing has happened yet."""
    with ExitStack() as stack:
        ledger = stack.enter_context(Ledger(f"sqlite:///{tmp_path / 'ledger.db'}"))
        yield World(storage_client.create_bucket(f"drops-{uuid4().hex}"), storage_client, ledger)


OLDER = "older than start_from = newest"
SCATTERED = ("202512", "2025_01", "2025_02", "2025_03", "2025_04", "2025_05", "2025_06")
"""As the service lists them, by name: the newest comes first."""


def test_newest_of_a_history_of_many_pages_is_trained_wherever_it_is_listed(world: World) -> None:
    """Everything older is recorded and skipped, page by page."""
    world.upload(*SCATTERED)
    listing = world.intake("newest").list_bucket(Source.LISTING)
    assert listing.recorded == 7
    assert world.pending() == {**{f"2025-{month:02}": OLDER for month in range(1, 7)}, "2025-12": ""}


@pytest.mark.parametrize("pages", [1, 2, 3])
def test_history_is_the_same_when_the_first_listing_breaks_off(world: World, pages: int) -> None:
    """What was recorded until then stays; the rest follows, and start_from still counts."""
    world.upload(*SCATTERED)
    with pytest.raises(TemporaryError):
        world.intake("newest", Cut(world.bucket, pages)).list_bucket(Source.LISTING)
    assert world.ledger.baseline(MODEL) is None
    world.intake("newest").list_bucket(Source.LISTING)
    assert world.pending() == {**{f"2025-{month:02}": OLDER for month in range(1, 7)}, "2025-12": ""}


def test_first_period_to_train_counts_for_the_first_listing_only(world: World) -> None:
    """What arrives later is trained however old it is."""
    world.upload("2025_01", "2025_02", "2025_03", "2025_04", "2025_05")
    world.intake("2025-04").list_bucket(Source.LISTING)
    world.upload("2024_01")
    world.intake("2025-04").list_bucket(Source.LISTING)
    why = "older than start_from = 2025-04"
    assert world.pending() == {"2025-01": why, "2025-02": why, "2025-03": why, "2025-04": "", "2025-05": "", "2024-01": ""}


def test_empty_bucket_is_a_history_too(world: World) -> None:
    """What arrives after it is no history."""
    world.intake("newest").list_bucket(Source.LISTING)
    assert world.ledger.baseline(MODEL) is not None
    world.upload("2025_01", "2025_02")
    assert world.intake("newest").list_bucket(Source.LISTING).recorded == 2
    assert world.pending() == {"2025-01": "", "2025-02": ""}


def test_second_listing_finds_only_what_changed(world: World) -> None:
    """An overwritten object is an event again, an untouched one is none."""
    world.upload("2025_01", "2025_02", "2025_03")
    intake = world.intake()
    assert intake.list_bucket(Source.LISTING).recorded == 3
    assert intake.list_bucket(Source.LISTING).recorded == 0
    world.upload("2025_02")
    assert intake.list_bucket(Source.LISTING).recorded == 1


def test_impossible_month_is_told_once(world: World) -> None:
    """However often it is listed."""
    world.upload("2025_13")
    for _ in range(2):
        assert world.intake().list_bucket(Source.LISTING).recorded == 0
    (told,) = world.logged("event_rejected")
    assert told["drop"] == "churn_data_2025_13.csv"


def test_drop_that_no_notification_told_of_is_missed(world: World) -> None:
    """It is recorded at once, and told when its notification is overdue; who asked for it is told once."""
    world.announcements.begin()
    world.upload("2025_01", "2025_02")
    intake = world.intake()
    intake.list_bucket(Source.LISTING)
    first, second = (world.ledger.newest_drops(MODEL, 2))[::-1]
    assert world.logged("drop_missed_by_notification") == []
    world.announcements.announce(f"drop:{MODEL}:{first.ref}")
    world.ahead = timedelta(seconds=3600)
    for _ in range(2):
        intake.list_bucket(Source.LISTING)
    (missed,) = world.logged("drop_missed_by_notification")
    assert missed["drop"] == second.ref
    assert world.missed == [world.remote.get_blob("churn_data_2025_02.csv").time_created]


def test_drop_whose_notification_went_to_another_daemon_is_not_missed(world: World) -> None:
    """This one's listing was faster, and waits for what the other one has written down; the next drop was told to nobody."""
    world.announcements.begin()
    world.upload("2025_01")
    intake = world.intake()
    intake.list_bucket(Source.LISTING)
    event = world.ledger.next_pending(MODEL)
    assert event
    assert world.ledger.record([replace(event, source=Source.PUBSUB)], world.clock()) == [False]
    world.upload("2025_02")
    intake.list_bucket(Source.LISTING)
    world.ahead = timedelta(seconds=3600)
    intake.list_bucket(Source.LISTING)
    (missed,) = world.logged("drop_missed_by_notification")
    assert missed["drop"].partition("#")[0].endswith("churn_data_2025_02.csv")
