"""What `doctor` says: the JSON contract, the advice, and the judgements that need no server."""

from pathlib import Path

import pytest

from trainer_daemon.commands.doctor import document
from trainer_daemon.commands.doctor_table import advice, summary
from trainer_daemon.doctor.clocks import judge_lead
from trainer_daemon.doctor.machine import GIB, judge_emulators, judge_space
from trainer_daemon.policy.checks import Check, Status

CHECKS = (
    Check(name="config", status=Status.OK, found="valid", seconds=0.25),
    Check(name="drops", model="churn", status=Status.WARNING, found="none yet", fix="upload one"),
    Check(name="bucket", model="churn", status=Status.FAILED, found="gone", fix="gcloud storage buckets create gs://x"),
    Check(name="clock", status=Status.SKIPPED, found="nobody to ask"),
)


def test_json_has_every_key_of_every_check() -> None:
    """What there is none of is null."""
    report = document(CHECKS)
    assert report["ok"] is False
    assert report["checks"][0] == {
        "name": "config",
        "model": None,
        "status": "ok",
        "found": "valid",
        "fix": None,
        "seconds": 0.25,
    }
    assert report["checks"][2] == {
        "name": "bucket",
        "model": "churn",
        "status": "failed",
        "found": "gone",
        "fix": "gcloud storage buckets create gs://x",
        "seconds": 0.0,
    }
    assert document(CHECKS[:2])["ok"] is True


def test_advice_begins_with_what_failed() -> None:
    """Each fix is a line of its own."""
    assert [text for text, _ in advice(CHECKS)] == [
        "What to do",
        "churn: bucket (failed)",
        "  gcloud storage buckets create gs://x",
        "churn: drops (warning)",
        "  upload one",
    ]
    assert list(advice(CHECKS[:1])) == []


def test_summary_counts() -> None:
    """Without those that are none."""
    assert summary(CHECKS) == "4 checks: 1 ok, 1 warning, 1 failed, 1 skipped"
    assert summary(CHECKS[:1]) == "1 check: 1 ok"


@pytest.mark.parametrize(
    ("seconds", "status", "found"),
    [
        (4.0, Status.OK, "agrees with s"),
        (-4.0, Status.OK, "agrees with s"),
        (7.0, Status.WARNING, "7 s ahead of s"),
        (-30.0, Status.WARNING, "30 s behind s"),
        (-120.0, Status.FAILED, "120 s behind s"),
    ],
)
def test_clock_is_judged_by_its_distance(seconds: float, status: Status, found: str) -> None:
    """Ahead or behind."""
    finding = judge_lead(seconds, "s")
    assert (finding.status, finding.found) == (status, found)


@pytest.mark.parametrize(("free", "status"), [(GIB // 8, Status.FAILED), (GIB, Status.WARNING), (4 * GIB, Status.OK)])
def test_space_is_judged_by_what_is_left(free: int, status: Status) -> None:
    """A run needs some."""
    assert judge_space(Path("/w"), free).status is status


def test_emulators_are_all_or_none() -> None:
    """Half of them would notify about buckets that nobody reads."""
    both = {"STORAGE_EMULATOR_HOST": "http://h:1", "PUBSUB_EMULATOR_HOST": "h:2"}
    half = {"PUBSUB_EMULATOR_HOST": "h:2"}
    assert judge_emulators({}, uses_pubsub=True).status is Status.OK
    assert judge_emulators(both, uses_pubsub=True).status is Status.WARNING
    assert judge_emulators(half, uses_pubsub=True).status is Status.FAILED
    assert judge_emulators(half, uses_pubsub=False).status is Status.OK
