import threading
from functools import partial

import pytest

from trainer_daemon.errors import ConfigError, TemporaryError
from trainer_daemon.policy.checks import Finding, Status, failed, ok, skipped, warning
from trainer_daemon.probing import Probe, examine


def a_probe(finding: Finding, *needs: Probe, name: str = "b") -> Probe:
    """A check that comes out as it is told."""
    return Probe(name=name, look=lambda: finding, needs=needs)


def fail(error: Exception) -> Finding:
    """A check that ends with an error."""
    raise error


def test_check_carries_what_was_found() -> None:
    """With name, model and fix."""
    (check,) = examine([Probe(name="bucket", model="churn", look=lambda: failed("it is gone", "make it"))])
    assert (check.title, check.status, check.found, check.fix) == ("churn: bucket", Status.FAILED, "it is gone", "make it")


@pytest.mark.parametrize("finding", [failed("x", ""), skipped("x")])
def test_check_is_skipped_with_all_that_need_it(finding: Finding) -> None:
    """Each says which one stands in the way; others are carried out."""
    first = a_probe(finding, name="first")
    second = a_probe(ok("x"), first, name="second")
    checks = list(examine([first, second, a_probe(ok("x"), second), a_probe(ok("y"))]))
    assert [check.status for check in checks[1:]] == [Status.SKIPPED, Status.SKIPPED, Status.OK]
    assert checks[1].found.startswith("not possible: first ")
    assert checks[2].found == "not possible: second was skipped"


def test_warning_stands_in_nobodys_way() -> None:
    """The daemon works all the same."""
    first = a_probe(warning("x", ""), name="first")
    assert [check.status for check in examine([first, a_probe(ok("x"), first)])] == [Status.WARNING, Status.OK]


def test_error_is_what_was_found_and_what_to_do() -> None:
    """Errors are written as one sentence of both."""
    errors = ConfigError('bucket is "gs://x", but there is none; create it: gcloud'), TemporaryError("no route to host")
    checks = list(examine([Probe(name="a", look=partial(fail, error)) for error in errors]))
    told = [(check.status, check.found, check.fix) for check in checks]
    assert told == [
        (Status.FAILED, 'bucket is "gs://x", but there is none', "create it: gcloud"),
        (Status.FAILED, "no route to host", ""),
    ]


def test_check_that_hangs_is_left_behind() -> None:
    """The next one is carried out."""
    release = threading.Event()

    def hang() -> Finding:
        release.wait()
        return ok("x")

    checks = list(examine([Probe(name="a", look=hang, deadline_s=0.1), a_probe(ok("x"))]))
    release.set()
    assert [(check.status, check.found) for check in checks] == [(Status.FAILED, "no answer within 0.1 s"), (Status.OK, "x")]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_check_with_a_bug_has_failed() -> None:
    """The next one is carried out, and the traceback is printed."""
    checks = list(examine([Probe(name="a", look=partial(fail, ZeroDivisionError())), a_probe(ok("x"))]))
    assert [check.status for check in checks] == [Status.FAILED, Status.OK]
    assert "report" in checks[0].fix


def test_every_check_is_announced_before_it_begins() -> None:
    """So that somebody who waits knows for what."""
    told: list[str] = []
    examined = examine([a_probe(ok("x"), name="first"), a_probe(ok("x"), name="second")], on_begin=lambda p: told.append(p.name))
    next(examined)
    assert told == ["first"]
    list(examined)
    assert told == ["first", "second"]
