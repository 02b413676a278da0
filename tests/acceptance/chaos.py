"""Everything goes wrong at once on the way in from Google Cloud: uploads, faults, and what has to be true of them afterwards."""

import json
import statistics
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psutil

from tests.acceptance.harness import Workspace, wait_until
from tests.acceptance.ledger_view import Arrival, LedgerView, Version
from tests.acceptance.uploads import Upload
from tests.emulators.cloud import GoogleCloud
from tests.emulators.pubsub_server import Acked

LISTING_S = 5.0
PATIENCE_S = 15.0
"""After so long without its notification the daemon calls a drop missed."""
SLACK_S = 90.0
"""How much later than it should something may happen on a busy machine."""
CHECK_EVERY = 20
WORK_S = 600.0
_AGAIN_S = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """An upload that has returned; `at` is in seconds since 1970."""

    upload: Upload
    version: Version
    at: float


class Chaos:
    """A daemon on a cloud, and faults.

    Args:
        workspace: Its models are on the cloud's bucket, and listed every `LISTING_S`.
        cloud: The emulators; the subscription retains what was acknowledged.
    """

    def __init__(self, workspace: Workspace, cloud: GoogleCloud) -> None:
        self._workspace = workspace
        self._cloud = cloud
        self._ledger = LedgerView(workspace.root / "var" / "ledger.db")
        self._done: list[Done] = []
        self._kills: list[float] = []
        self._checks = 0

    def start(self) -> None:
        """Start a daemon, and wait until it is told of what arrives."""
        opened = len(self._workspace.logged("stream_opened"))
        self._workspace.start()
        wait_until(lambda: len(self._workspace.logged("stream_opened")) > opened, "the stream opens")

    def kill_daemon(self) -> None:
        """`kill -9`; the runs that are under way go on."""
        daemon = self._workspace.children[-1]
        daemon.kill()
        daemon.wait(240)
        self._kills.append(time.time())
        self._require_recorded("after a kill")

    def upload(self, uploads: Sequence[Upload], *, checking: bool = True) -> None:
        """Upload one after the other; every now and then the daemon is stopped, and nothing may be acknowledged unrecorded."""
        for number, upload in enumerate(uploads):
            generation = self._cloud.upload(upload.name, upload.body)
            version = (f"gs://{self._cloud.bucket}/{upload.name}", str(generation))
            self._done.append(Done(upload=upload, version=version, at=time.time()))
            if checking and number % CHECK_EVERY == 0:
                self._require_recorded_while_stopped()

    def upload_and_kill_before_anything_is_recorded(self, uploads: Sequence[Upload]) -> None:
        """Messages are delivered, the ledger cannot be written, and the daemon is killed: none may have been acknowledged."""
        with self._ledger.locked():
            recorded, delivered = set(self._ledger.arrivals()), self._cloud.counts()["delivered"]
            self.upload(uploads, checking=False)
            wait_until(lambda: self._cloud.counts()["delivered"] > delivered + 3, "some of them are delivered")
            self._require_recorded("while nothing can be recorded")
            assert set(self._ledger.arrivals()) == recorded
            self.kill_daemon()

    def upload_while_pubsub_is_away(self, uploads: Sequence[Upload]) -> None:
        """It is killed, and comes back with what it had in the middle of the uploads."""
        self._cloud.pubsub.kill()
        half = len(uploads) // 2
        self.upload(uploads[:half], checking=False)
        self._cloud.pubsub.start()
        self.upload(uploads[half:])

    def upload_while_storage_is_away(self, uploads: Sequence[Upload]) -> None:
        """It is killed in the middle of the uploads; those of that time are repeated by whoever makes them."""
        outage = threading.Thread(target=self._restart_storage)
        outage.start()
        self.upload(uploads, checking=False)
        outage.join()

    def _restart_storage(self) -> None:
        self._cloud.gcs.kill()
        self._cloud.gcs.start()

    def wait_until_decided(self, runs: int) -> None:
        """Until so many runs have been decided on."""
        wait_until(lambda: self._ledger.decided() >= runs, f"{runs} runs are decided on", WORK_S, every_s=_AGAIN_S)

    def tell_of_older_generations(self, names: int) -> list[Version]:
        """Notifications of generations that nobody knew and that are older than what is there; returns those."""
        newest = {done.upload.name: done for done in self._done}
        told = [message for message in self._arrivals() if _version(message) == newest[message.attributes["objectId"]].version]
        older = [_older(message) for message in told[:names]]
        self._cloud.publish([(attributes, data) for attributes, data in older])
        return [_version_of(attributes) for attributes, _ in older]

    def settle(self) -> None:
        """Until everything is acknowledged, every newest version is on record, every run has ended, what was missed was told."""
        wait_until(lambda: self._cloud.counts()["backlog"] == 0, "everything is acknowledged", WORK_S, every_s=_AGAIN_S)
        wait_until(lambda: self._newest() <= set(self._ledger.arrivals()), "every drop is on record", WORK_S, every_s=_AGAIN_S)
        wait_until(lambda: not self._ledger.unfinished(), "all runs have ended", WORK_S, every_s=_AGAIN_S)
        wait_until(
            lambda: set(self._missed()) <= set(self._told()) | self._in_shadow(), "what was missed was told", WORK_S, every_s=1.0
        )
        self._require_recorded_while_stopped()

    def problems(self) -> list[str]:
        """Everything that is wrong, each with the drop that it is about."""
        return [*self._wrong_runs(), *self._wrong_executions(), *self._wrong_acks(), *self._wrongly_told(), *self._found_late()]

    def figures(self) -> str:
        """What happened, in one line."""
        counts, runs = self._cloud.counts(), self._ledger.runs()
        delays = [1e3 * delay for delay in self._delays("pubsub")]
        found, told = self._delays("listing", of=self._missed()), set(self._told())
        return (
            f"{len(self._done)} uploads of {len(self._newest())} drops: {len(runs)} runs, "
            f"{sum(run.state == 'REJECTED' for run in runs)} decided on, {sum(run.state == 'SUPERSEDED' for run in runs)} "
            f"superseded; notifications: {counts['published']} published, {counts['dropped']} dropped, "
            f"{counts['duplicated']} duplicated, {counts['expired']} leases expired, {counts['delivered']} deliveries; "
            f"recorded by notification after {statistics.median(delays):.0f} ms (median); {len(found)} missed, found by the "
            f"listing within {max(found, default=0):.1f} s, {len(told & set(self._missed()))} of them told, "
            f"{len(told - set(self._missed()))} more told whose message came late; {self._checks} times stopped "
            f"or killed, no message acknowledged before it was recorded"
        )

    def outcomes(self, versions: Sequence[Version]) -> list[str]:
        """What became of these versions, empty for one that is not on record."""
        arrivals = self._ledger.arrivals()
        return [arrivals[version].outcome if version in arrivals else "" for version in versions]

    def _require_recorded_while_stopped(self) -> None:
        daemon = psutil.Process(self._workspace.children[-1].pid)
        daemon.suspend()
        try:
            self._require_recorded("while the daemon was stopped")
        finally:
            daemon.resume()

    def _require_recorded(self, when: str) -> None:
        """The daemon stands still: what it has acknowledged has to be in the ledger already."""
        acked = {_version(message) for message in self._arrivals()}
        missing = sorted(acked - set(self._ledger.arrivals()))
        assert not missing, f"acknowledged, but not recorded, {when}: {missing}"
        self._checks += 1

    def _arrivals(self) -> list[Acked]:
        """The acknowledged messages that tell of an arrival."""
        acked = self._cloud.pubsub.acked(self._cloud.subscription)
        return [message for message in acked if message.attributes["eventType"] == "OBJECT_FINALIZE"]

    def _announced(self) -> dict[Version, float]:
        """The versions that a message told of, and when the first such message was acknowledged."""
        announced: dict[Version, float] = {}
        for message in self._arrivals():
            version = _version(message)
            announced[version] = min(message.at, announced.get(version, message.at))
        return announced

    def _newest(self) -> set[Version]:
        return set({done.upload.name: done.version for done in self._done}.values())

    def _missed(self) -> dict[Version, Arrival]:
        """What a listing found and no message told of."""
        announced = self._announced()
        arrivals = self._ledger.arrivals().items()
        return {version: arrival for version, arrival in arrivals if arrival.source == "listing" and version not in announced}

    def _told(self) -> Counter[Version]:
        """How often the log says of a version that notifications missed it."""
        lines = self._workspace.logged("drop_missed_by_notification")
        return Counter((str(line["drop"]).rpartition("#")[0], str(line["drop"]).rpartition("#")[2]) for line in lines)

    def _in_shadow(self) -> set[Version]:
        """Missed so shortly before a kill that the daemon did not get to telling: it is trained, but may never be told of."""
        reach_s = PATIENCE_S + LISTING_S + SLACK_S
        missed = self._missed().items()
        return {
            version
            for version, arrival in missed
            if any(0 <= killed_at - arrival.recorded_at <= reach_s for killed_at in self._kills)
        }

    def _wrong_runs(self) -> list[str]:
        """Of each name: the last bytes have one run that was decided on, earlier ones have at most one."""
        contents: dict[str, list[str]] = defaultdict(list)
        for done in self._done:
            contents[done.version[0]].append(done.upload.checksum)
        runs = self._ledger.runs()
        states: dict[tuple[str, str], list[str]] = defaultdict(list)
        for run in runs:
            states[run.uri, run.checksum].append(f"{run.state} at attempt {run.attempt}")
        last = {(uri, checksums[-1]) for uri, checksums in contents.items()}
        known = {(uri, checksum) for uri, checksums in contents.items() for checksum in checksums}
        wrong = [f"{content}: {states[content]}" for content in sorted(last) if states[content] != ["REJECTED at attempt 1"]]
        wrong += [f"{content}: {found}" for content, found in sorted(states.items()) if len(found) != 1 and content not in last]
        return wrong + [f"{content}: nobody uploaded it" for content in sorted(set(states) - known)]

    def _wrong_executions(self) -> list[str]:
        """The orchestrator's own word: each run that was decided on was executed once, no other more than once."""
        executed: Counter[str] = Counter()
        for log in (self._workspace.root / "var" / "runs").glob("*/log.txt"):
            executed[log.parent.name.split("-")[-2]] += log.read_text().count(f"run {log.parent.name} of pipeline")
        runs = self._ledger.runs()
        return [
            f"{run.uri}: {run.state}, executed {executed[run.key[:12]]} times"
            for run in runs
            if executed[run.key[:12]] > 1 or (run.state == "REJECTED" and executed[run.key[:12]] != 1)
        ]

    def _wrong_acks(self) -> list[str]:
        """By the clock, too: recorded, then acknowledged."""
        arrivals = self._ledger.arrivals()
        return [
            f"{version}: acknowledged at {at}, recorded at {arrivals[version].recorded_at if version in arrivals else 'no time'}"
            for version, at in self._announced().items()
            if version not in arrivals or arrivals[version].recorded_at > at
        ]

    def _wrongly_told(self) -> list[str]:
        """What was missed is told once, but for what a kill cut off; what was announced in time is not told of."""
        told, missed, shadow = self._told(), self._missed(), self._in_shadow()
        announced, arrivals = self._announced(), self._ledger.arrivals()
        wrong = [f"{version}: missed, and never told" for version in missed if not told[version] and version not in shadow]
        for version, times in told.items():
            on_time = version in announced and announced[version] - arrivals[version].recorded_at < PATIENCE_S
            if times > 1 or on_time:
                wrong.append(f"{version}: told {times} times, announced at {announced.get(version)}")
        return wrong

    def _found_late(self) -> list[str]:
        missed, uploaded = self._missed(), {done.version: done.at for done in self._done}
        late = {version: arrival.recorded_at - uploaded.get(version, arrival.recorded_at) for version, arrival in missed.items()}
        return [f"{version}: found after {delay:.1f} s" for version, delay in late.items() if delay > LISTING_S + SLACK_S]

    def _delays(self, source: str, of: dict[Version, Arrival] | None = None) -> list[float]:
        """Seconds from the end of an upload to its record."""
        arrivals = self._ledger.arrivals() if of is None else of
        uploaded = [(arrivals[done.version], done.at) for done in self._done if done.version in arrivals]
        return [arrival.recorded_at - at for arrival, at in uploaded if arrival.source == source]


def _version(message: Acked) -> Version:
    return _version_of(message.attributes)


def _version_of(attributes: dict[str, str]) -> Version:
    return f"gs://{attributes['bucketId']}/{attributes['objectId']}", attributes["objectGeneration"]


def _older(message: Acked) -> tuple[dict[str, str], bytes]:
    """A notification of other bytes that were there just before."""
    generation = str(int(message.attributes["objectGeneration"]) - 1)
    body: dict[str, Any] = {**json.loads(message.data), "generation": generation, "crc32c": "AAAAAA==", "size": "0"}
    return {**message.attributes, "objectGeneration": generation}, json.dumps(body).encode()
