"""From values to HTML; everything is escaped unless this package made it itself."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipelines.report.contents import METRICS, Side, Subject, is_better, read_contents
from pipelines.report.figures import figures_of, months_figure

_SHOWN_AT_ONCE = 8
_MARKS = {"passed": "✓ passed", "failed": "✗ failed", "not_applicable": "does not apply"}


def render_report(evaluation: Mapping[str, Any], subject: Subject) -> str:
    """The page of a run.

    Args:
        evaluation: `evaluation.json`; what it lacks is left out.
        subject: Whose evaluation it is, and what was decided.
    """
    contents = read_contents(evaluation, subject.metric)
    sides: list[Side] = [contents.candidate, *([contents.champion] if contents.champion else [])]
    shown = {
        "title": contents.title,
        "run": subject.run,
        "link": subject.link,
        "metric": subject.metric,
        "ruling": subject.ruling,
        "months": subject.months,
        "contents": contents,
        "metrics": METRICS,
        "marks": _MARKS,
        "is_better": is_better,
        "shown_at_once": _SHOWN_AT_ONCE,
        "figures": figures_of(sides),
        "months_figure": months_figure(subject.months, subject.metric),
        "confusions": [side for side in sides if side.curves.confusion],
    }
    return _templates().get_template("run.html.j2").render(shown)


def render_page(title: str, body: Markup) -> str:
    """A page in the same style.

    Args:
        title: Plain text.
        body: What is below the heading.
    """
    return _templates().get_template("page.html.j2").render(title=title, body=body)


def facts_table(facts: Sequence[tuple[str, str]]) -> Markup:
    """Names and values of what a reader wants to know first, plain text, as a table."""
    row = Markup('<tr><th scope="row">{}</th><td>{}</td></tr>')
    rows = Markup("").join([row.format(name, value) for name, value in facts])
    return Markup('<table class="words facts"><tbody>{}</tbody></table>').format(rows)


def figure(caption: str, svg: Markup) -> Markup:
    """A drawing with what it shows, plain text, above it."""
    return Markup("<figure><figcaption>{}</figcaption>{}</figure>").format(caption, svg)


@cache
def _templates() -> Environment:
    loader = PackageLoader("pipelines", "report")
    templates = Environment(
        loader=loader, autoescape=True, auto_reload=False, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    templates.filters |= {"number": _number, "difference": _difference}
    return templates


def _number(value: float | None, digits: int = 4) -> str:
    return "\N{EN DASH}" if value is None else f"{value:.{digits}f}"


def _difference(candidate: float | None, champion: float | None) -> str:
    return "" if candidate is None or champion is None else f"{candidate - champion:+.4f}"
