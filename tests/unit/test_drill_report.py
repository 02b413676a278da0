"""What `drill --json` says; its shape is a contract."""

from dataclasses import replace
from pathlib import Path

from trainer_daemon.commands.drill import Report, document
from trainer_daemon.policy.promises import Finding, Verdict

HELD = Finding(name="kill-daemon", verdict=Verdict.HELD, seen="once")
REPORT = Report(model="churn", drops="invented customers", folder=None, faults=(HELD,), promises=())


def test_report_is_a_document() -> None:
    """A workspace that was removed is none."""
    assert document(REPORT) == {
        "ok": True,
        "model": "churn",
        "drops": "invented customers",
        "workspace": None,
        "faults": [{"name": "kill-daemon", "verdict": "held", "seen": "once"}],
        "promises": [],
    }


def test_one_broken_promise_is_enough_and_a_skipped_one_is_none() -> None:
    """The exit code follows it."""
    broken, skipped = replace(HELD, verdict=Verdict.BROKEN), replace(HELD, verdict=Verdict.SKIPPED)
    assert not replace(REPORT, promises=(HELD, broken), folder=Path("/w")).held
    assert replace(REPORT, promises=(HELD, skipped)).held
