"""The page that shows an evaluation."""

import re
from html.parser import HTMLParser

import numpy as np

from pipelines.evaluation import ChampionScores, score_probabilities
from pipelines.report import ReportHead, render_report

LABELS = np.array([0, 1] * 50)
SCORES = score_probabilities(np.where(LABELS == 1, 0.7, 0.3), LABELS)
WORSE = score_probabilities(np.where(LABELS == 1, 0.5, 0.4), LABELS)
HEAD = ReportHead(title="churn <2025-03>", facts=(("features", "a & <script>alert(1)</script>"),))


class Balance(HTMLParser):
    """Notes elements that are not closed in order."""

    VOID = frozenset({"meta", "path", "polyline", "circle", "rect"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember what was opened."""
        del attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close what was opened last."""
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Nothing stays open."""

    def handle_data(self, data: str) -> None:
        """Remember what is shown."""
        self.texts.append(data)


def test_page_is_whole_and_shows_both_models() -> None:
    """Every element is closed; candidate and champion stand side by side."""
    page = Balance()
    page.feed(render_report(HEAD, SCORES, ChampionScores(version="7", scores=WORSE)))
    assert page.open == []
    ours, theirs = SCORES.defined["log_loss"], WORSE.defined["log_loss"]
    assert {f"{ours:.4f}", f"{theirs:.4f}", f"{ours - theirs:+.4f}", "Champion: version 7"} <= set(page.texts)


def test_page_loads_nothing() -> None:
    """The report can be read where there is no network."""
    page = render_report(HEAD, SCORES, None)
    assert not re.search(r"https?:|//|\bsrc=|\bhref=|url\(|@import", page)


def test_everything_a_drop_may_contain_is_escaped() -> None:
    """A column name cannot put script into the page."""
    page = render_report(HEAD, SCORES, ChampionScores(version="<7>", error="types <b>x</b>"))
    assert "<script" not in page
    assert "<b>" not in page
    assert "churn &lt;2025-03&gt;" in page


def test_better_candidate_is_emphasised_in_each_metrics_direction() -> None:
    """A lower log loss and a higher accuracy are both better."""
    rows = re.findall(
        r"<tr><td>(\w+)</td><td( class=\"better\")?>", render_report(HEAD, SCORES, ChampionScores(version="7", scores=WORSE))
    )
    better = {name for name, emphasis in rows if emphasis}
    assert "log_loss" in better
    assert "roc_auc" not in better
