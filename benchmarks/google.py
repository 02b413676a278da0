"""Google Cloud's way in: messages recorded per second, a large bucket listed, upload to submission; emulators play the cloud."""

import json
import os
import queue
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from benchmarks.daemon import Bench, wait_for
from benchmarks.synthetic_bucket import synthetic_bucket
from tests.emulators.cloud import BUCKET, SUBSCRIPTION, GoogleCloud
from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.announcements import Announcements
from trainer_daemon.inbox import Inbox, Outlet
from trainer_daemon.policy.notifications import Message, Route
from trainer_daemon.policy.objects import place_of
from trainer_daemon.subscriber import BATCH

CONFIG = f"""
[[models]]
name = "churn"
bucket = "gs://{BUCKET}"
subscription = "{SUBSCRIPTION}"
listing_interval_s = 3600
[models.training]
pipeline = "noop.yaml"
"""


def measure_messages(root: Path, messages: int = 20_000) -> dict[str, float]:
    """Notifications per second that are parsed and written durably, by how many wait at a time."""
    now = datetime.now(UTC)
    log = structlog.wrap_logger(structlog.PrintLogger(sys.stderr), wrapper_class=structlog.make_filtering_bound_logger("error"))
    route = Route(model="churn", place=place_of("gs://drops", "churn_data_{period}.csv"))
    outlet = Outlet(route=route, announcements=Announcements(timedelta(0), lambda: now), on_recorded=lambda: None)
    batch_sizes = (1, 10, 100, BATCH)
    figures = {}
    for size in batch_sizes:
        with Ledger(f"sqlite:///{root / f'ledger-{size}.db'}") as ledger:
            inbox = Inbox("bench", [outlet], ledger=ledger, clock=lambda: now, log=log)
            sent = [_message(number, now) for number in range(min(messages, 200 * size))]
            started = time.perf_counter()
            for start in range(0, len(sent), size):
                inbox.receive(sent[start : start + size])
            figures[f"messages recorded per second, {size} waiting"] = len(sent) / (time.perf_counter() - started)
    return figures


def measure_listing(root: Path, objects: int = 100_000) -> dict[str, float]:
    """Seconds and memory for comparing a large bucket with the ledger: when all of it is new, and when none is."""
    root.mkdir(parents=True)
    with synthetic_bucket(objects) as url:
        command = [sys.executable, "-m", "benchmarks.listed", f"sqlite:///{root / 'ledger.db'}"]
        done = subprocess.run(command, env={**os.environ, "STORAGE_EMULATOR_HOST": url}, stdout=subprocess.PIPE, check=True)
    cost = json.loads(done.stdout)
    assert (cost["recorded"], cost["recorded_again"]) == (objects, 0)  # noqa: S101 - a figure of a wrong listing is none
    return {
        f"listing {objects} new objects, s": cost["first_s"],
        f"listing {objects} known objects, s": cost["again_s"],
        "memory that listing took, MB": cost["memory_mb"],
    }


def measure_upload(root: Path, rounds: int = 100) -> dict[str, float]:
    """Milliseconds from an upload that has returned to its event on record, to its run submitted, and to anybody's being told."""
    bench = Bench(root=root)
    bench.prepare(noop=True)
    (root / "trainer.toml").write_text(CONFIG)
    recorded, submitted = [], []
    with _cloud(root) as cloud:
        delivered = _delivered(cloud, rounds)
        with bench.daemon():
            wait_for(partial(bench.has, "stream_opened", 1), 30)
            for number in range(rounds + 1):
                cloud.upload(f"churn_data_{2000 + number // 12}_{number % 12 + 1:02}.csv", f"a,Churn\n{number},1\n")
                returned = time.time()
                wait_for(partial(bench.has, "candidate_rejected", number + 1), 60, 0.05)
                recorded.append(1e3 * (_time_of_last(bench, "event_recorded") - returned))
                submitted.append(1e3 * (_time_of_last(bench, "run_submitted") - returned))
    return {
        **_spread("upload to its notification alone", delivered[1:]),
        **_spread("upload to event on record", recorded[1:]),
        **_spread("upload to run submitted", submitted[1:]),
        "run submitted after the notification alone, ms": statistics.median(submitted[1:]) - statistics.median(delivered[1:]),
    }


def _delivered(cloud: GoogleCloud, rounds: int) -> list[float]:
    """Milliseconds from an upload that has returned to the callback of a client that does nothing but listen."""
    from google.cloud.pubsub_v1 import SubscriberClient

    told: queue.SimpleQueue[float] = queue.SimpleQueue()

    def callback(message: Any) -> None:  # noqa: ANN401 - the library has no types
        told.put(time.time())
        message.ack()

    delays = []
    with SubscriberClient() as client:
        listening = client.subscribe(cloud.subscription, callback)
        for number in range(rounds + 1):
            cloud.upload(f"alone/{number}.csv", f"a,Churn\n{number},1\n")
            returned = time.time()
            delays.append(1e3 * (told.get(timeout=60) - returned))
        listening.cancel()
        listening.result(timeout=60)
    return delays


def _spread(what: str, delays_ms: list[float]) -> dict[str, float]:
    return {f"{what}, ms (median)": statistics.median(delays_ms), f"{what}, ms (p99)": statistics.quantiles(delays_ms, n=100)[98]}


@contextmanager
def _cloud(root: Path) -> Iterator[GoogleCloud]:
    """Emulators, with this process and its children pointed at them."""
    cloud = GoogleCloud(root)
    os.environ.update(cloud.environment)
    cloud.start()
    try:
        yield cloud
    finally:
        cloud.stop()
        for name in cloud.environment:
            del os.environ[name]


def _time_of_last(bench: Bench, event: str) -> float:
    """When the newest line of an event was written, in seconds since the epoch."""
    lines = (json.loads(line) for line in bench.log.read_text().splitlines() if f'"{event}"' in line)
    return datetime.fromisoformat([line["time"] for line in lines][-1]).timestamp()


def _message(number: int, now: datetime) -> Message:
    name = f"churn_data_{number // 12:04}_{number % 12 + 1:02}.csv"
    resource = {"name": name, "generation": str(number + 1), "crc32c": "AAAAAA==", "size": "1", "timeCreated": now.isoformat()}
    attributes = {
        "eventType": "OBJECT_FINALIZE",
        "bucketId": "drops",
        "objectId": name,
        "objectGeneration": resource["generation"],
        "payloadFormat": "JSON_API_V1",
    }
    return Message(id=str(number), attributes=attributes, data=json.dumps(resource).encode(), published_at=now)
