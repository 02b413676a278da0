import io
import json
import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.typing import FilteringBoundLogger

from tests.builders import a_drop, a_drop_event, a_run
from trainer_daemon.telemetry.logging import configure_logging
from trainer_daemon.telemetry.redaction import redacted
from trainer_daemon.telemetry.work import begin_scope, work_on


class Terminal(io.StringIO):
    """A stream that says it is a terminal, with an old encoding."""

    encoding = "ascii"

    def isatty(self) -> bool:
        """So it is."""
        return True


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """The libraries' logging is put back."""
    root = logging.getLogger()
    handlers, level, show = list(root.handlers), root.level, warnings.showwarning
    root.handlers[:] = []
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:], warnings.showwarning = handlers, show
    root.setLevel(level)


def a_log(stream: io.StringIO, *, level: str = "info", format: str = "json") -> FilteringBoundLogger:  # noqa: A002 - its name
    """A logger that writes JSON into the stream."""
    return configure_logging(level=level, format=format, stream=stream)


def lines_of(stream: io.StringIO) -> list[dict[str, Any]]:
    """The lines written, each of which must be JSON."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def one_line(stream: io.StringIO) -> dict[str, Any]:
    """The only line written."""
    (line,) = lines_of(stream)
    return line


def test_line_has_the_names_of_cloud_logging() -> None:
    """The event's name is the message; its keys are fields."""
    stream = io.StringIO()
    a_log(stream).info("run_submitted", run="churn-2025-03-abc-1", attempt=1)
    line = one_line(stream)
    time = datetime.fromisoformat(line.pop("time"))
    assert abs(datetime.now(UTC) - time) < timedelta(minutes=1)
    assert line == {
        "severity": "INFO",
        "message": "run_submitted",
        "logging.googleapis.com/labels": {"run": "churn-2025-03-abc-1"},
        "run": "churn-2025-03-abc-1",
        "attempt": 1,
    }


def test_labels_are_text_and_only_what_is_there() -> None:
    """Cloud Logging refuses other labels."""
    stream = io.StringIO()
    a_log(stream).info("a_b", run=7, drop="file:///x#1", model=None)
    assert one_line(stream)["logging.googleapis.com/labels"] == {"run": "7", "drop": "file:///x#1"}


def test_bound_keys_are_in_every_line_of_that_logger_only() -> None:
    """A model's logger says so by itself."""
    stream = io.StringIO()
    log = a_log(stream)
    log.bind(model="churn").info("a_b")
    log.info("c_d")
    assert [line.get("model") for line in lines_of(stream)] == ["churn", None]


@pytest.mark.parametrize(
    ("level", "written"),
    [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)],
)
def test_less_severe_lines_are_left_out(level: str, written: int) -> None:
    """The level is the least severe one."""
    stream = io.StringIO()
    log = a_log(stream, level=level)
    log.debug("a_b")
    log.info("a_b")
    log.warning("a_b")
    log.error("a_b")
    assert [line["severity"] for line in lines_of(stream)] == ["DEBUG", "INFO", "WARNING", "ERROR"][4 - written :]


def test_error_says_where_and_has_the_traceback() -> None:
    """One line, whatever its length."""
    stream = io.StringIO()
    log = a_log(stream)
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        log.exception("reconcile_failed")
    line = one_line(stream)
    assert line["severity"] == "ERROR"
    assert "ZeroDivisionError: division by zero" in line["stack_trace"]
    source = line["logging.googleapis.com/sourceLocation"]
    assert (Path(source["file"]).name, source["function"]) == (Path(__file__).name, "test_error_says_where_and_has_the_traceback")
    assert source["line"].isdigit()


def test_own_key_cannot_replace_a_field_of_cloud_logging() -> None:
    """A run's `time` is not the line's."""
    stream = io.StringIO()
    a_log(stream).info("a_b", severity="none", message="x")
    line = one_line(stream)
    assert (line["severity"], line["message"], line["severity_"], line["message_"]) == ("INFO", "a_b", "none", "x")


class _State(StrEnum):
    RUNNING = "RUNNING"


def test_values_that_are_not_json_are_written_as_text() -> None:
    """A log call cannot fail for what it is given."""
    stream = io.StringIO()
    when = datetime(2026, 1, 1, tzinfo=UTC)
    a_log(stream).info("a_b", path=Path("/x"), when=when, nan=float("nan"), state=_State.RUNNING, some={"k": (1, {2})}, raw=b"x")
    line = one_line(stream)
    assert (line["path"], line["when"], line["nan"], line["state"]) == ("/x", str(when), "nan", "RUNNING")
    assert line["some"] == {"k": [1, [2]]}


@given(
    value=st.recursive(
        st.text() | st.floats() | st.binary(max_size=4), lambda inner: st.dictionaries(st.text(), inner, max_size=3)
    )
)
def test_every_value_makes_one_line(value: object) -> None:
    """File names contain anything, line feeds and broken encodings included."""
    stream = io.StringIO()
    a_log(stream).info("a_b", value=value, name="a\nb\udcff\u2028")
    assert stream.getvalue().isascii()
    assert one_line(stream)["message"] == "a_b"


def test_secrets_are_masked_wherever_they_are() -> None:
    """By the name of their key, and inside of URLs and tracebacks."""
    stream = io.StringIO()
    log = a_log(stream)
    try:
        _ = int("https://ann:hunter1@host")
    except ValueError:
        log.exception(
            "a_b",
            api_token="hunter2",  # noqa: S106 - made up
            uri="postgresql://ann:hunter3@db/x?sslpassword=hunter4",
            headers={"Authorization": "hunter5", "list": ["http://hunter6@h"]},
            text="Authorization: Bearer hunter7hunter7",
        )
    assert "hunter" not in stream.getvalue()
    assert one_line(stream)["uri"] == "postgresql://***@db/x?sslpassword=***"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("login with password=hunter2 failed", "login with password=*** failed"),
        ('{"client_secret": "hunter2", "n": 1}', '{"client_secret": "***", "n": 1}'),
        ("POST /?x TOKEN='hunter2'", "POST /?x TOKEN='***'"),
        ("Set-Cookie: session=hunter2; Path=/", "Set-Cookie: ***"),
        ("got eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl back", "got *** back"),
        ("ya29.a0AfH6SMBhunter2 expired", "*** expired"),
        ("key -----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY----- end", "key *** end"),
    ],
)
def test_tokens_and_keys_are_known_by_their_place_or_their_shape(text: str, masked: str) -> None:
    """Also in what a server or a library says in its own words."""
    assert redacted(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "orchestrator.auth needs a token: it is read again",
        "token_file is not there",
        "the password is wrong; secret=",
        "file:///data/drops/churn@home.csv#1",
        "mail ann@example.com",
        "gs://bucket/a?b=c",
        "basic training",
        "12:30 // a@b",
        "",
    ],
)
def test_text_without_a_secret_stays_as_it_is(text: str) -> None:
    """A drop's name may contain anything."""
    assert redacted(text) == text


def test_records_of_libraries_go_the_same_way_from_warning_on() -> None:
    """Nothing reaches stdout or stderr by itself."""
    stream = io.StringIO()
    a_log(stream, level="debug")
    library = logging.getLogger("some.talkative.library")
    library.setLevel(logging.DEBUG)
    library.info("not this")
    library.warning("retrying %s", "http://ann:hunter2@host")
    line = one_line(stream)
    assert (line["severity"], line["message"], line["library"]) == ("WARNING", "library_logged", "some.talkative.library")
    assert line["text"] == "retrying http://***@host"


def test_error_of_a_library_has_its_traceback_and_its_own_place() -> None:
    """Not the place where the record was handed over."""
    stream = io.StringIO()
    a_log(stream)
    try:
        _ = os.environ["TRAINER_NOT_THERE"]
    except KeyError:
        logging.getLogger("some.library").exception("failed")
    line = one_line(stream)
    assert "KeyError: 'TRAINER_NOT_THERE'" in line["stack_trace"]
    assert Path(line["logging.googleapis.com/sourceLocation"]["file"]).name == Path(__file__).name


def test_warnings_are_logged() -> None:
    """Python's own ones, too."""
    stream = io.StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        a_log(stream)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert "DeprecationWarning: old" in one_line(stream)["text"]


def test_mistake_of_a_library_in_its_own_message_hurts_nobody() -> None:
    """It is written as far as it can be; a level of its own counts as the next lower one."""
    stream = io.StringIO()
    a_log(stream)
    record = logging.makeLogRecord({"name": "some.library", "levelno": 35, "msg": "%d rows", "args": ("many",)})
    logging.getLogger().handlers[-1].handle(record)
    line = one_line(stream)
    assert (line["severity"], line["text"]) == ("WARNING", "%d rows ('many',)")


def test_configuring_again_replaces_the_first() -> None:
    """Records of libraries are not written twice."""
    first, second = io.StringIO(), io.StringIO()
    a_log(first)
    a_log(second)
    logging.getLogger("some.library").warning("once")
    assert (first.getvalue(), len(lines_of(second))) == ("", 1)


def test_terminal_gets_a_short_line() -> None:
    """Time, level, name, keys; not JSON."""
    stream = Terminal()
    a_log(stream, format="auto").warning("run_failed", run="churn-1", file="gr\u00f6\u00dfe\udcff")
    (line,) = stream.getvalue().splitlines()
    assert line.isascii()
    assert "run_failed" in line
    assert "churn-1" in line
    assert "\x1b[" in line


def test_json_on_request_even_in_a_terminal() -> None:
    """The format decides, `auto` only looks."""
    stream = Terminal()
    a_log(stream).info("a_b")
    assert one_line(stream)["message"] == "a_b"


def test_console_on_request_has_no_colours_in_a_file() -> None:
    """Escape codes are for terminals."""
    stream = io.StringIO()
    a_log(stream, format="console").info("a_b", run="churn-1")
    assert "\x1b[" not in stream.getvalue()
    assert "run=churn-1" in stream.getvalue()


def on_a_thread_at_work(log: FilteringBoundLogger, say: Callable[[], None]) -> None:
    """Say something on a thread that works on a run, and then on nothing."""

    def work() -> None:
        begin_scope()
        work_on(run=a_run())
        say()
        work_on()
        log.info("work_ended")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_line_says_what_its_thread_works_on() -> None:
    """Run, key and drop, as labels too; for as long as the work lasts, and on no other thread."""
    stream, run = io.StringIO(), a_run()
    log = a_log(stream)
    on_a_thread_at_work(log, lambda: log.warning("reconcile_deferred"))
    work_on(run=run)
    log.info("elsewhere_logged")
    deferred, ended, elsewhere = lines_of(stream)
    subject = {"run": run.name, "run_key": run.key, "drop": run.drop.ref}
    assert subject.items() <= deferred.items()
    assert deferred["logging.googleapis.com/labels"] == subject
    assert not subject.keys() & (ended.keys() | elsewhere.keys())


def test_own_keys_of_a_line_count_more() -> None:
    """A line may be about another drop than the work is."""
    stream = io.StringIO()
    log = a_log(stream)
    on_a_thread_at_work(log, lambda: log.info("event_superseded", drop="another"))
    line, _ = lines_of(stream)
    assert (line["drop"], line["run"]) == ("another", a_run().name)


def test_library_says_what_its_caller_works_on() -> None:
    """Its records go the same way."""
    stream = io.StringIO()
    log = a_log(stream)
    on_a_thread_at_work(log, lambda: logging.getLogger("urllib3").warning("retrying"))
    line, _ = lines_of(stream)
    assert (line["message"], line["drop"]) == ("library_logged", a_run().drop.ref)


def test_event_is_what_is_worked_on_before_there_is_a_run() -> None:
    """Its id, and its drop if it has one."""
    stream, event = io.StringIO(), a_drop_event()
    log = a_log(stream)

    def say() -> None:
        work_on(event=event)
        log.info("run_queued")

    on_a_thread_at_work(log, say)
    line, _ = lines_of(stream)
    assert (line["event_id"], line["drop"]) == (event.id, a_drop().ref)


def test_terminal_is_spared_the_key() -> None:
    """A run's name is long enough."""
    stream, run = io.StringIO(), a_run()
    log = a_log(stream, format="console")
    on_a_thread_at_work(log, lambda: log.warning("reconcile_deferred"))
    assert run.name in stream.getvalue()
    assert run.key not in stream.getvalue()
