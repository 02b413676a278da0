"""The evaluation as one self-contained page: no network, no script, readable on a phone, light and dark."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from pipelines.evaluation import METRICS, ChampionScores, Direction, Scores

_SIZE = 300
_PAD = 34
_STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--paper:#fff;--line:#d0d7de;--soft:#6e7781;--a:#0b6bcb;--b:#b35900}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--paper:#0d1117;--line:#30363d;--soft:#8b949e;--a:#58a6ff;--b:#f0883e}}
body{margin:0 auto;max-width:56rem;padding:1rem;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
table{border-collapse:collapse;width:100%}th,td{padding:.3rem .5rem;border-bottom:1px solid var(--line);text-align:right}
th:first-child,td:first-child{text-align:left}.facts td{overflow-wrap:anywhere}
figure{margin:0}figcaption,.soft{color:var(--soft);font-size:.9rem}
.figures{display:grid;gap:1.5rem;grid-template-columns:repeat(auto-fit,minmax(16rem,1fr));margin-top:1.5rem}
svg{width:100%;height:auto;max-width:24rem}svg text{fill:var(--ink);font-size:12px}.better{font-weight:600}
.axis{stroke:var(--line);fill:none}.a{stroke:var(--a);fill:none;stroke-width:2}.b{stroke:var(--b);fill:none;stroke-width:2}
.cell{fill:var(--a)}.dot-a{fill:var(--a)}.dot-b{fill:var(--b)}.key-a{color:var(--a)}.key-b{color:var(--b)}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportHead:
    """What the page is about.

    Attributes:
        facts: Name and value of what a reader wants to know first.
    """

    title: str
    facts: tuple[tuple[str, str], ...]


def render_report(head: ReportHead, candidate: Scores, champion: ChampionScores | None) -> str:
    """The page.

    Args:
        head: What it is about.
        candidate: The new model on the held-out rows.
        champion: The current one on the same rows, when there is one.
    """
    other = champion.scores if champion else None
    figures = [
        figure(
            "ROC curve",
            _plot(
                "false positive rate",
                "true positive rate",
                [(s.roc[:, 0], s.roc[:, 1]) for s in _present(candidate, other)],
                dots=False,
            ),
        ),
        figure(
            "Calibration",
            _plot(
                "predicted",
                "observed",
                [(s.calibration[:, 0], s.calibration[:, 1]) for s in _present(candidate, other)],
                dots=True,
            ),
        ),
        figure("Candidate's decisions at one half", _confusion(candidate.confusion)),
    ]
    body = (
        f"{facts_table(head.facts)}<h2>Held-out metrics</h2>{_metrics_table(candidate, champion)}"
        f'<div class="figures">{"".join(figures)}</div>'
    )
    return page(head.title, body)


def page(title: str, body: str) -> str:
    """A whole document.

    Args:
        title: Plain text.
        body: HTML below the heading.
    """
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>{body}</body></html>\n"
    )


def facts_table(facts: Sequence[tuple[str, str]]) -> str:
    """Names and values of what a reader wants to know first, plain text, as a table."""
    rows = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in facts)
    return f'<table class="facts">{rows}</table>'


def figure(caption: str, svg: str) -> str:
    """A drawing with what it shows, plain text, below it."""
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def _present(candidate: Scores, champion: Scores | None) -> list[Scores]:
    return [candidate] if champion is None else [candidate, champion]


def _metrics_table(candidate: Scores, champion: ChampionScores | None) -> str:
    other = champion.scores if champion else None
    rows = "".join(_metric_row(name, candidate.metrics[name], other.metrics[name] if other else None) for name in METRICS)
    note = "There is no champion yet."
    if champion:
        note = f"Champion: version {champion.version}" + (
            f", which could not be scored: {champion.error}" if champion.error else ""
        )
    key = '<span class="key-a">candidate</span></th><th><span class="key-b">champion</span></th><th>difference'
    return f'<table><tr><th>metric</th><th>{key}</th></tr>{rows}</table><p class="soft">{escape(note)}</p>'


def _metric_row(name: str, candidate: float | None, champion: float | None) -> str:
    emphasis = ' class="better"' if _better(name, candidate, champion) else ""
    difference = "" if candidate is None or champion is None else f"{candidate - champion:+.4f}"
    return (
        f"<tr><td>{name}</td><td{emphasis}>{_number(candidate)}</td><td>{_number(champion)}</td>"
        f"<td{emphasis}>{difference}</td></tr>"
    )


def _better(name: str, candidate: float | None, champion: float | None) -> bool:
    if candidate is None or champion is None:
        return False
    return candidate > champion if METRICS[name] is Direction.HIGHER else candidate < champion


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"


def _plot(x_label: str, y_label: str, lines: Iterable[tuple[np.ndarray, np.ndarray]], *, dots: bool) -> str:
    """Lines over the unit square; the first is the candidate's."""
    drawn = "".join(_line(x, y, colour, dots=dots) for (x, y), colour in zip(lines, "ab", strict=False))
    low, high = _PAD, _SIZE - _PAD
    return (
        f'<svg viewBox="0 0 {_SIZE} {_SIZE}" role="img" aria-label="{escape(y_label)} by {escape(x_label)}">'
        f'<path class="axis" d="M{low} {low}V{high}H{high}M{low} {high}L{high} {low}"/>{drawn}'
        f'<text x="{_SIZE // 2}" y="{_SIZE - 8}" text-anchor="middle">{escape(x_label)}</text>'
        f'<text x="12" y="{_SIZE // 2}" text-anchor="middle" transform="rotate(-90 12 {_SIZE // 2})">{escape(y_label)}</text>'
        "</svg>"
    )


def _line(x: np.ndarray, y: np.ndarray, colour: str, *, dots: bool) -> str:
    span = _SIZE - 2 * _PAD
    points = [(f"{_PAD + span * a:.1f}", f"{_SIZE - _PAD - span * b:.1f}") for a, b in zip(x, y, strict=True)]
    line = f'<polyline class="{colour}" points="{" ".join(f"{a},{b}" for a, b in points)}"/>'
    return line + "".join(f'<circle class="dot-{colour}" cx="{a}" cy="{b}" r="3"/>' for a, b in points if dots)


def _confusion(matrix: np.ndarray) -> str:
    cells = []
    for label, decision in np.ndindex(2, 2):
        share = matrix[label, decision] / max(1, matrix.sum())
        x, y = 60 + 110 * decision, 30 + 110 * label
        cells.append(
            f'<rect class="cell" x="{x}" y="{y}" width="106" height="106" fill-opacity="{0.12 + 0.6 * share:.2f}"/>'
            f'<text x="{x + 53}" y="{y + 58}" text-anchor="middle">{matrix[label, decision]}</text>'
        )
    names = "".join(
        f'<text x="{113 + 110 * n}" y="20" text-anchor="middle">{word}</text><text x="6" y="{88 + 110 * n}">{label}</text>'
        for n, (word, label) in enumerate((("says stays", "stayed"), ("says churns", "churned")))
    )
    return f'<svg viewBox="0 0 {_SIZE} 260" role="img" aria-label="confusion matrix">{names}{"".join(cells)}</svg>'
