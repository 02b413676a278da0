"""`python -m benchmarks.listed LEDGER`: list the bucket twice in a process of its own, and print what it cost as JSON."""

import json
import re
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from trainer_daemon.adapters.gcs import StorageBucket, open_client
from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.announcements import Announcements
from trainer_daemon.intake import Intake
from trainer_daemon.policy.events import Source
from trainer_daemon.policy.objects import place_of


def peak_mb() -> float:
    """The most memory that this process has had, in MB; Linux."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 / 1e6 if found else 0.0


def clock() -> datetime:
    """Now."""
    return datetime.now(UTC)


def main(ledger_url: str) -> dict[str, float]:
    """List when nothing is known, then when everything is."""
    log = structlog.wrap_logger(structlog.PrintLogger(sys.stderr), wrapper_class=structlog.make_filtering_bound_logger("error"))
    with Ledger(ledger_url) as ledger, closing(open_client()) as client:
        bucket = StorageBucket(place_of("gs://drops", "churn_data_{period}.csv"), client)
        bucket.check()
        intake = Intake(
            model="churn",
            bucket=bucket,
            start_from="newest",
            ledger=ledger,
            announcements=Announcements(timedelta(seconds=15), clock),
            clock=clock,
            log=log,
        )
        before_mb, seconds, recorded = peak_mb(), [], []
        for _ in range(2):
            started = time.perf_counter()
            recorded.append(intake.list_bucket(Source.LISTING).recorded)
            seconds.append(time.perf_counter() - started)
        return {
            "recorded": recorded[0],
            "recorded_again": recorded[1],
            "first_s": seconds[0],
            "again_s": seconds[1],
            "memory_mb": peak_mb() - before_mb,
        }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
