"""Reports are rendered once for each shape that they have: no history reads one, and to render it takes as long as many steps."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from trainer_daemon import reporting
from trainer_daemon.adapters.ledger.rows import Judged
from trainer_daemon.reporting import Reported

_Render = Callable[[Reported], str]
_pages: dict[Any, str] = {}


@contextmanager
def one_of_each_shape() -> Iterator[None]:
    """While this lasts, a report of a shape that was rendered before is that one."""
    render = reporting.report_of
    reporting.report_of = partial(_page, render)
    try:
        yield
    finally:
        reporting.report_of = render


def _page(render: _Render, reported: Reported) -> str:
    shape = _shape(reported)
    if (page := _pages.get(shape)) is None:
        page = _pages[shape] = render(reported)
    return page


def _shape(reported: Reported) -> tuple[object, ...]:
    """What branches of the page depend on, names and numbers left out."""
    decision, evaluation = reported.decision, reported.evaluation
    own = [each for each in reported.judged if each.run_key == reported.run.key]
    return (
        reported.became,
        bool(decision.champion_version),
        tuple((outcome.rule, outcome.result) for outcome in decision.outcomes),
        tuple(evaluation),
        frozenset(map(_kind, reported.judged)),
        tuple(map(_kind, own)),
        min(len(reported.judged), 3),
    )


def _kind(judged: Judged) -> tuple[object, ...]:
    return (judged.state, bool(judged.version), bool(judged.candidate), bool(judged.champion))
