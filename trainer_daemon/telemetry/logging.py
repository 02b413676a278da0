"""Log lines: JSON in Cloud Logging's field names, or short ones for a terminal; nothing else writes to stdout.

An event's name is constant and everything else is a key of its own. What libraries log goes the same way from severity
warning on, under the name `library_logged`.
"""

import json
import logging
import math
from collections.abc import Callable, Mapping
from typing import Any, TextIO

import structlog
from structlog.processors import CallsiteParameter, CallsiteParameterAdder, TimeStamper, format_exc_info
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from trainer_daemon.telemetry.redaction import MASK, SECRET_KEY, redacted
from trainer_daemon.telemetry.work import RUN_KEY, with_subject, without_key

Count = Callable[[str, str, str], None]
LABELS = ("run", RUN_KEY, "drop", "model")
"""Keys that Cloud Logging indexes as labels, besides being fields."""

_CALLSITE = CallsiteParameterAdder(
    [CallsiteParameter.PATHNAME, CallsiteParameter.LINENO, CallsiteParameter.FUNC_NAME],
    additional_ignores=["logging", "warnings", __name__],
)
_LEVELS = {name: getattr(logging, name.upper()) for name in ("debug", "info", "warning", "error", "critical")}
_WITH_SOURCE = frozenset({"error", "exception", "critical"})


def configure_logging(
    *,
    level: str,
    format: str,  # noqa: A002 - as the key is called
    stream: TextIO,
    count: Count | None = None,
) -> FilteringBoundLogger:
    """Make the daemon's logger and route the libraries' log records and warnings through it; the only global set-up of logging.

    Args:
        level: The least severe lines that are written: `debug`, `info`, `warning` or `error`.
        format: `json`, `console`, or `auto` for JSON unless the stream is a terminal.
        stream: Where lines go; it belongs to the log.
        count: Called with name, severity and model of every event from info on, whether or not its line is written.

    Returns:
        A logger; `log.bind(model="churn")` gives one that says so in every line.
    """
    console = format == "console" or (format == "auto" and stream.isatty())
    least = _LEVELS[level]
    chain = _console_chain(stream) if console else _json_chain()
    log: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=[with_subject, *([_Counting(count, least)] if count else []), *chain],
        wrapper_class=structlog.make_filtering_bound_logger(min(least, logging.INFO) if count else least),
        context_class=dict,
        cache_logger_on_first_use=True,
    ).bind()
    _forward_libraries(log)
    return log


def quiet_log() -> FilteringBoundLogger:
    """A logger that writes nothing, for commands that say themselves what their clients say with errors."""
    silent: FilteringBoundLogger = structlog.wrap_logger(
        structlog.ReturnLogger(), wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL)
    ).bind()
    return silent


class _Counting:
    """Counts every event, and drops what is not to be written."""

    def __init__(self, count: Count, least: int) -> None:
        self._count = count
        self._least = least

    def __call__(self, _logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        severity = "error" if method == "exception" else method
        if _LEVELS[severity] >= logging.INFO:
            self._count(str(event.get("event", "")), severity, str(event.get("model") or ""))
        if _LEVELS[severity] < self._least:
            raise structlog.DropEvent
        return event


def _json_chain() -> list[Processor]:
    return [format_exc_info, _clean, TimeStamper(fmt="iso", utc=True, key="time"), _cloud_fields, _as_json]


def _console_chain(stream: TextIO) -> list[Processor]:
    clock = TimeStamper(fmt="%H:%M:%S", utc=False)
    return [structlog.processors.add_log_level, without_key, format_exc_info, _clean, clock, _Terminal(stream)]


class _Terminal:
    """Renders a short line; what the terminal's encoding cannot show is escaped, so that no file name can stop the log."""

    def __init__(self, stream: TextIO) -> None:
        plain = structlog.dev.plain_traceback
        self._render = structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), sort_keys=False, pad_event_to=24, exception_formatter=plain
        )
        self._encoding = stream.encoding or "ascii"

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> str:
        line = self._render(logger, method, event)
        return line.encode(self._encoding, "backslashreplace").decode(self._encoding)


def _clean(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """No secret, and nothing that is not JSON, passes."""
    return {key: MASK if SECRET_KEY.search(key) else _cleaned(value) for key, value in event.items()}


def _cleaned(value: object) -> object:
    match value:
        case str():
            return redacted(value)
        case float() if not math.isfinite(value):
            return str(value)
        case Mapping():
            return {str(key): MASK if SECRET_KEY.search(str(key)) else _cleaned(inner) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_cleaned(inner) for inner in value]
        case bool() | int() | float() | None:
            return value
        case _:
            return redacted(str(value))


def _cloud_fields(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """The fields that Cloud Logging gives a meaning, first; then the event's own."""
    severity = "ERROR" if method == "exception" else method.upper()
    line: dict[str, Any] = {"severity": severity, "time": event.pop("time"), "message": event.pop("event", "")}
    if stack := event.pop("exception", ""):
        line["stack_trace"] = stack
    if method in _WITH_SOURCE:
        line["logging.googleapis.com/sourceLocation"] = _source_location(logger, method)
    if labels := {name: str(event[name]) for name in LABELS if event.get(name)}:
        line["logging.googleapis.com/labels"] = labels
    return line | {key if key not in line else f"{key}_": value for key, value in event.items()}


def _source_location(logger: WrappedLogger, method: str) -> dict[str, str]:
    """Where the line was written; looked up for errors only, since walking the stack costs more than the rest."""
    found = _CALLSITE(logger, method, {})
    return {"file": str(found["pathname"]), "line": str(found["lineno"]), "function": str(found["func_name"])}


def _as_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return json.dumps(event)


class _Forward(logging.Handler):
    """Hands the libraries' records to the daemon's logger."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        level = min(record.levelno // 10 * 10, logging.CRITICAL)  # libraries may invent levels in between
        self._log.log(level, "library_logged", library=record.name, text=_text(record), exc_info=record.exc_info)


def _text(record: logging.LogRecord) -> str:
    """A library's mistake in formatting its own message must not become an error of whoever called it."""
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return f"{record.msg} {record.args}"


def _forward_libraries(log: FilteringBoundLogger) -> None:
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Forward)]:
        root.removeHandler(handler)
    root.addHandler(_Forward(log))
    root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
