"""The report of a run: whole, self-contained, escaped, and drawn from whatever the evaluation holds."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.evaluation import METRICS, ChampionScores, Direction, champion_document, model_document, score_probabilities
from pipelines.evidence.document import Evaluated, evidence_document
from pipelines.evidence.slices import SliceSettings
from pipelines.report.contents import LOWER_IS_BETTER, Month, Rule, Ruling, Subject, is_better, read_contents
from pipelines.report.rendering import render_report
from pipelines.schema import Kind
from tests.unit.pipelines.builders import a_schema
from tests.unit.pipelines.predictions import scored

HOSTILE = "</text><script>alert(1)</script>&\"'"
PROBABILITIES, LABELS = scored(300, seed=8)
WORSE = np.clip(PROBABILITIES + np.random.default_rng(9).normal(0, 0.2, 300), 0.001, 0.999)
CANDIDATE = score_probabilities(PROBABILITIES, LABELS)
CHAMPION = ChampionScores(version="7", scores=score_probabilities(WORSE, LABELS))
RULES = (
    Rule(name="min_gain[log_loss]", result="failed", sentence="log_loss is worse"),
    Rule(name="registered", result="passed", sentence="the candidate is version 8"),
)
MONTHS = (
    Month(period="2025-01", version="1", candidate=0.5, champion=None, became="promoted", is_champion=True),
    Month(period="2025-02", version="2", candidate=0.45, champion=0.49, became="rejected", is_champion=False),
)
SUBJECT = Subject(run="churn-2025-02-abc-1")
DECIDED = replace(SUBJECT, ruling=Ruling(headline="Rejected: champion version 7 stays", tone="bad", rules=RULES), months=MONTHS)


def an_evaluation(champion: ChampionScores | None = CHAMPION, *, column: str = "Contract") -> dict[str, Any]:
    """What step `evaluate_model` writes."""
    rows = pd.DataFrame({"Tenure": PROBABILITIES, column: pd.Series(["a", "b", "c"] * 100, dtype="str")})
    evaluated = Evaluated(
        rows=rows,
        schema=a_schema(**{"Tenure": Kind.NUMERIC, column: Kind.TEXT}),
        labels=LABELS,
        candidate=CANDIDATE,
        champion=champion,
        at=datetime(2025, 3, 1, tzinfo=UTC),
    )
    document = {
        "format": 2,
        "model": "churn",
        "period": "2025-02",
        "holdout": {"rows": 300, "positives": int(LABELS.sum())},
        "training": {"rows": 1200, "estimator": "logistic_regression", "features": ["Tenure", column]},
        "candidate": model_document(CANDIDATE),
        "champion": champion_document(champion),
        **evidence_document(evaluated, seed=1, settings=SliceSettings()),
    }
    read: dict[str, Any] = json.loads(json.dumps(document, allow_nan=False))
    return read


EVALUATION = an_evaluation()


class Balance(HTMLParser):
    """Notes elements that are not closed in order, and everything that is shown."""

    VOID = frozenset({"meta", "path", "polyline", "polygon", "circle", "rect", "wbr"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.tags: list[str] = []
        self.alternatives: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember what was opened."""
        self.tags.append(tag)
        if tag == "svg":
            self.alternatives.append(dict(attrs)["aria-label"] or "")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close what was opened last."""
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Nothing stays open."""

    def handle_data(self, data: str) -> None:
        """Remember what is shown."""
        self.texts.append(data.strip())


def parsed(html: str) -> Balance:
    """The page, every element of which is closed."""
    page = Balance()
    page.feed(html)
    assert page.open == []
    return page


def test_page_shows_both_models_side_by_side() -> None:
    """With the difference, and what the resamples make of it."""
    page = parsed(render_report(EVALUATION, SUBJECT))
    assert CHAMPION.scores is not None
    ours, theirs = CANDIDATE.defined["log_loss"], CHAMPION.scores.defined["log_loss"]
    assert {f"{ours:.4f}", f"{theirs:.4f}", f"{ours - theirs:+.4f}"} <= set(page.texts)
    low, high = EVALUATION["differences"]["metrics"]["log_loss"]["interval"]
    assert f"{low:+.3f} … {high:+.3f}" in page.texts


def test_tests_of_significance_are_told_in_words() -> None:
    """Each by its name, with its probability and what it counted."""
    texts = parsed(render_report(EVALUATION, SUBJECT)).texts
    delong, mcnemar = (EVALUATION["differences"][name] for name in ("delong", "mcnemar"))
    assert delong["p"] < 0.0001
    assert "ROC-AUC, DeLong's test: p < 0.0001." in texts
    assert (
        f"Accuracy, McNemar's test (mid-p): p = {mcnemar['p_mid']:.2g}; {mcnemar['only_first']} rows only the candidate decides "
        f"rightly, {mcnemar['only_second']} only the champion."
    ) in texts
    unsure = {**EVALUATION, "differences": {**EVALUATION["differences"], "delong": {**delong, "p": 0.0312}}}
    assert "ROC-AUC, DeLong's test: p = 0.031." in read_contents(unsure, "log_loss").tests
    assert read_contents(an_evaluation(None), "log_loss").tests == ()


def test_drift_of_the_furthest_columns_and_of_the_score_is_told() -> None:
    """With what chance alone makes of it; and what cannot be compared says why."""
    columns = {f"c{n}": {"psi": n / 10, "psi_without_drift": 0.05, "ks": None} for n in range(8)}
    drift = {"columns": columns, "score": {"psi": 0.011, "psi_without_drift": 0.022, "ks": 0.033}, "error": ""}
    shifts = read_contents({**EVALUATION, "drift": drift}, "log_loss").shifts
    assert [shift.name for shift in shifts] == ["c7", "c6", "c5", "c4", "c3", "the champion's score"]
    texts = parsed(render_report({**EVALUATION, "drift": drift}, SUBJECT)).texts
    assert {"0.700", "0.050", "0.011", "0.022", "0.033"} <= set(texts)
    unknown: dict[str, Any] = {"columns": {}, "score": None, "error": "version 7 was registered without reference.json"}
    texts = parsed(render_report({**EVALUATION, "drift": unknown}, SUBJECT)).texts
    assert "It cannot be compared: version 7 was registered without reference.json." in texts


def test_every_figure_says_in_words_what_it_shows() -> None:
    """Curves, calibration, and the scores of either model; those who cannot see them are told the numbers."""
    page = parsed(render_report(EVALUATION, DECIDED))
    titles = {"ROC curve", "Precision and recall", "Calibration", "Scores of the candidate", "Scores of the champion"}
    assert titles | {"log_loss over all periods"} <= set(page.texts)
    area = CANDIDATE.defined["roc_auc"]
    assert len(page.alternatives) == 6
    assert any(f"candidate {area:.4f}" in words for words in page.alternatives)
    assert all(len(words) > 20 for words in page.alternatives)


def test_drawings_and_counts_are_those_of_the_model_that_they_name() -> None:
    """Each curve is the model's own, and who stayed is not who churned."""
    contents = read_contents(EVALUATION, "log_loss")
    texts = parsed(render_report(EVALUATION, DECIDED)).texts
    for side, own in ((contents.candidate, CANDIDATE), (contents.champion, CHAMPION.scores)):
        assert side is not None
        assert own is not None
        assert np.array(side.curves.roc) == pytest.approx(own.roc[:, :2], abs=1e-4)
        assert np.array(side.curves.precision_recall) == pytest.approx(own.precision_recall, abs=1e-4)
        assert np.array(side.curves.calibration) == pytest.approx(own.calibration[:, :2], abs=1e-4)
        assert np.array([side.curves.stayed, side.curves.churned]) == pytest.approx(own.spread)
        assert np.array(side.curves.confusion) == pytest.approx(own.confusion)
        assert set(map(str, own.confusion.flat)) <= set(texts)


def test_who_is_better_is_marked_in_the_direction_of_the_metric() -> None:
    """In both of the columns that say so, and never when nobody is."""
    assert {name for name, direction in METRICS.items() if direction is Direction.LOWER} == LOWER_IS_BETTER
    assert CHAMPION.scores is not None
    theirs = CHAMPION.scores.defined
    ahead = [
        name for name, own in CANDIDATE.defined.items() if (own < theirs[name] if name in LOWER_IS_BETTER else own > theirs[name])
    ]
    assert len(ahead) > 0
    assert render_report(EVALUATION, SUBJECT).count('class="better"') == 2 * len(ahead)
    assert not is_better("roc_auc", 0.8, 0.8)
    assert not is_better("log_loss", None, 0.8)


def test_undecided_page_points_to_where_the_decision_will_be() -> None:
    """The step that writes it knows no decision."""
    page = render_report(EVALUATION, SUBJECT)
    assert "trainer-daemon report churn-2025-02-abc-1" in page
    assert "<h2>Rules" not in page


def test_decided_page_has_every_rule_failed_ones_first_and_every_period() -> None:
    """And does not say that it is undecided."""
    page = render_report(EVALUATION, replace(DECIDED, ruling=replace(DECIDED.ruling, rules=RULES[::-1])))  # type: ignore[type-var]
    assert "Rejected: champion version 7 stays" in page
    assert "Not decided" not in page
    assert page.index("log_loss is worse") < page.index("the candidate is version 8")
    assert "0.4500" in page
    assert "0.4900" in page


def test_slices_where_the_candidate_does_worst_come_first() -> None:
    """Whatever the direction of the metric."""
    for metric in ("log_loss", "roc_auc"):
        found = read_contents(EVALUATION, metric).slices
        gains = [(s.candidate - s.champion) * (1 if metric == "roc_auc" else -1) for s in found if s.candidate and s.champion]
        assert len(gains) == 3
        assert gains == sorted(gains)


def test_first_model_has_a_page_without_a_champion() -> None:
    """Nothing is compared, and nothing is missing."""
    page = parsed(render_report(an_evaluation(None), SUBJECT))
    assert "There is no champion yet." in page.texts
    assert "Scores of the champion" not in page.texts


def test_champion_that_could_not_be_scored_is_named_with_the_reason() -> None:
    """So that nobody takes it for a first model."""
    broken = an_evaluation(ChampionScores(version="7", error="it is gone"))
    assert "The champion is version 7, which could not be scored: it is gone." in parsed(render_report(broken, SUBJECT)).texts


def test_page_loads_nothing_and_runs_nothing() -> None:
    """The report can be read where there is no network, and under any policy of the place that shows it."""
    page = render_report(EVALUATION, DECIDED)
    assert not re.search(r"https?:|//|\bsrc=|\bhref=|url\(|@import|<script|\bon\w+=", page)


def test_everything_that_a_drop_may_contain_is_escaped() -> None:
    """Columns, values, versions, errors, names: none of it can become part of the page."""
    document = an_evaluation(column=HOSTILE)
    document |= {"model": HOSTILE, "period": HOSTILE, "evaluated_at": HOSTILE}
    document["champion"] |= {"version": HOSTILE, "error": HOSTILE, "missing_columns": [HOSTILE]}
    document["training"]["estimator"] = HOSTILE
    document["slices"]["found"][0]["value"] = HOSTILE
    document["drift"] = {"columns": {HOSTILE: {"psi": 0.1}}}
    ruling = Ruling(headline=HOSTILE, tone="bad", rules=(Rule(name=HOSTILE, result="failed", sentence=HOSTILE),))
    month = replace(MONTHS[1], period=HOSTILE, version=HOSTILE, became=HOSTILE)
    page = parsed(render_report(document, Subject(run=HOSTILE, ruling=ruling, months=(month, month))))
    assert "script" not in page.tags
    assert page.texts.count(HOSTILE) >= 8


def holes(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:  # noqa: ANN401 - JSON
    """Where something can be taken out of a document."""
    if isinstance(document, dict):
        items = list(document.items())
    elif isinstance(document, list):
        items = list(enumerate(document[:2]))
    else:
        return [path]
    return [path, *(hole for key, inner in items for hole in holes(inner, (*path, key)))]


PLACES = [path for path in holes(EVALUATION) if path]
JSON: st.SearchStrategy[Any] = st.sampled_from([None, "x", -1, 1e308, [], {}, [[]], [[1]], [["a", "b"]], {"a": "b"}, True])


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(PLACES), JSON)
def test_document_that_is_not_as_it_should_be_still_has_a_page(place: tuple[Any, ...], instead: object) -> None:
    """Anybody's pipeline may have written it, and a page is no reason to hold up a decision."""
    document = json.loads(json.dumps(EVALUATION))
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = instead
    parsed(render_report(document, DECIDED))


@pytest.mark.parametrize("document", [{}, {"format": 1}, {"error": "evaluation.json is not JSON"}])
def test_hardly_any_document_has_a_page_of_the_decision(document: dict[str, Any]) -> None:
    """The rules are told even where the evidence is lost."""
    assert "log_loss is worse" in parsed(render_report(document, DECIDED)).texts
