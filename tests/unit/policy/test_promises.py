"""What has to be true after a drill: each promise is found broken when it is."""

from dataclasses import replace

import pytest

from tests.builders import a_drop, a_run
from trainer_daemon.policy.promises import Seen, Upload, Verdict, promises
from trainer_daemon.policy.runs import Run, RunState

RUN = a_run(RunState.PROMOTED, model_version="1")
WHOLE = Seen(
    uploads=(Upload(uri=RUN.drop.uri, checksum=RUN.drop.checksum),) * 2,
    runs=(RUN,),
    executed=(RUN.name,),
    versions={RUN.key: ["1"]},
    champion="1",
    known_champion="1",
)


def broken(seen: Seen) -> dict[str, str]:
    """What was seen of the promises that are broken."""
    return {finding.name: finding.seen for finding in promises(seen) if finding.verdict is Verdict.BROKEN}


def other_run(state: RunState = RunState.REJECTED) -> Run:
    """A second run of the same drop."""
    return replace(RUN, key="f" * 64, state=state, model_version="")


def test_everything_holds_when_each_upload_has_its_run_and_version() -> None:
    """However often the same bytes came."""
    assert broken(WHOLE) == {}


@pytest.mark.parametrize(
    ("name", "seen", "words"),
    [
        ("one run per drop", replace(WHOLE, runs=(RUN, other_run())), "has 2 runs"),
        ("one run per drop", replace(WHOLE, uploads=()), "was not uploaded"),
        (
            "one run per drop",
            replace(WHOLE, uploads=(*WHOLE.uploads, Upload(uri=a_drop("2025-07").uri, checksum="b"))),
            "has 0 runs",
        ),
        (
            "no run that the ledger does not know",
            replace(WHOLE, executed=(RUN.name, "churn-2025-03-abc-1")),
            "abc-1 was executed",
        ),
        ("nothing is stuck", replace(WHOLE, runs=(replace(RUN, state=RunState.RUNNING),)), "is RUNNING"),
        ("nothing is stuck", replace(WHOLE, runs=(replace(RUN, state=RunState.FAILED),)), "is FAILED"),
        ("nothing is stuck", replace(WHOLE, pending=2), "2 events wait"),
        ("one version per run", replace(WHOLE, versions={RUN.key: ["1", "2"]}), "has versions 1, 2"),
        ("one version per run", replace(WHOLE, versions={}), "version 1 of run"),
        ("one champion", replace(WHOLE, champion="2"), "the alias is on version 2, the ledger knows version 1"),
        ("no process is left", replace(WHOLE, processes=("python step",)), "python step"),
        ("no error that nobody foresaw", replace(WHOLE, crashes=("reconcile_crashed: …",)), "reconcile_crashed"),
    ],
)
def test_broken_promise_is_found_and_no_other(name: str, seen: Seen, words: str) -> None:
    """With what is wrong in its sentence."""
    found = broken(seen)
    assert list(found) == [name]
    assert words in found[name]
