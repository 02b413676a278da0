"""Values become HTML here: templates, which escape everything that they are given, and the words for times and sizes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from trainer_daemon.commands.opening import file_name, local
from trainer_daemon.commands.status_table import main_reason
from trainer_daemon.commands.timeline import size_of
from trainer_daemon.policy.promotion import Result
from trainer_daemon.policy.runs import RunState
from trainer_daemon.telemetry.redaction import redacted

_HERE = Path(__file__).parent
STATIC = _HERE / "static"
_TONES: Mapping[RunState, str] = {
    RunState.QUEUED: "calm",
    RunState.RUNNING: "live",
    RunState.TRAINED: "live",
    RunState.FAILED: "bad",
    RunState.PROMOTED: "good",
    RunState.REJECTED: "calm",
    RunState.AWAITING_APPROVAL: "waits",
    RunState.QUARANTINED: "bad",
    RunState.SUPERSEDED: "calm",
    RunState.CANCELED: "calm",
}
_RESULTS: Mapping[Result, tuple[str, str]] = {
    Result.PASSED: ("good", "passed"),
    Result.FAILED: ("bad", "failed"),
    Result.NOT_APPLICABLE: ("calm", "does not apply"),
}
_UNITS = (("d", 86400), ("h", 3600), ("min", 60))


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a page is, so that its links work behind any prefix that a proxy puts before them.

    Attributes:
        path: Of the page, without query.
        query: What was asked for, but for `refresh`.
        refreshing: Whether the reader wants pages to load themselves again.
    """

    path: str
    query: Mapping[str, str]
    refreshing: bool = True

    @property
    def root(self) -> str:
        """What leads from this page to the first one."""
        return "../" * (self.path.count("/") - 1) or "./"

    def url(self, path: str, **query: object) -> str:
        """A link to another page; a query's value that is None is left out."""
        wanted = {name: value for name, value in query.items() if value is not None}
        pairs = wanted if self.refreshing else {**wanted, "refresh": "off"}
        return f"{self.root}{quote(path)}{'?' if pairs else ''}{urlencode(pairs)}"

    @property
    def toggled(self) -> str:
        """A link to this page, refreshing itself or not."""
        here = Place(path=self.path, query=self.query, refreshing=not self.refreshing)
        return here.url(self.path[1:], **self.query)


class Renderer:
    """The templates; made once, since compiling them takes longer than filling them in."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=_safe,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "when": when,
            "duration": duration,
            "file_name": file_name,
            "size": size_of,
            "tone": _TONES.__getitem__,
            "result": _RESULTS.__getitem__,
            "reason": main_reason,
            "commands": commands,
            "score": score,
        }
        self._environment.globals |= {
            "style": f"static/style.css?v={sha256((STATIC / 'style.css').read_bytes()).hexdigest()[:12]}"
        }

    def render(self, template: str, **values: object) -> str:
        """Fill a template in."""
        return self._environment.get_template(template).render(values)


def _safe(value: object) -> object:
    """What is about to be written; the ledger keeps reasons in the words of whoever gave them."""
    return redacted(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def when(moment: datetime) -> Markup:
    """A moment, for people in this machine's time and for machines."""
    return Markup('<time datetime="{}">{}</time>').format(moment.isoformat(), local(moment))


def duration(seconds: float) -> str:
    """How long, in the two largest units that say something."""
    rest = max(0, round(seconds))
    for place, (unit, length) in enumerate(_UNITS):
        if rest >= length:
            smaller, size = _UNITS[place + 1] if place + 1 < len(_UNITS) else ("s", 1)
            below = rest % length // size
            return f"{rest // length} {unit} {below} {smaller}" if below else f"{rest // length} {unit}"
    return f"{rest} s"


def commands(sentence: str) -> Markup:
    """A sentence in which what stands between backticks is to be typed."""
    parts = redacted(sentence).split("`")
    return Markup().join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts)
    )


def score(value: float | None) -> str:
    """A metric; empty where there is none."""
    return "" if value is None else f"{value:.4f}"
